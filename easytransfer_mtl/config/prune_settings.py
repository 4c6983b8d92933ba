"""The settings of vocabulary pruning."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import BadRowSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import (
    MODEL,
    PREPROCESS,
    TOKENIZERS,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
)

_FILES = "a folder stands for all contest files in it; contest files give their text columns, other files every line"


@dataclass(frozen=True, kw_only=True)
class PruneVocabularySettings(BadRowSettings):
    """Settings of prune_vocabulary: an encoder without the tokens that given texts do not use."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    pretrain_model_name_or_path: str = option(MODEL, "encoder to prune: a folder or a Hugging Face name", required=True)
    tokenizer: str = option(
        None,
        "what to keep of a folder with vocab.txt and tokenizer.json: easytransfer, vocab.txt; published, tokenizer.json; "
        "auto: both",
        "auto",
        choices=TOKENIZERS,
    )
    vocabulary_rule: str = option(None, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES)
    input_fps: str = option(None, f"comma list of files whose texts keep their tokens; {_FILES}", required=True)
    report_fps: str | None = option(None, "comma list of other files: what share of their tokens is lost, file by file")
    output_dir: str = option(None, "new folder for the pruned encoder", required=True)
    header: bool = option(PREPROCESS, "pass over the first line of every contest file", False)
