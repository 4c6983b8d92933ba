"""The settings of the commands that look at data files: check_data and eda."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import Conditions, OtherThan, check_effects, option
from easytransfer_mtl.config.sections import (
    LONGEST_ROW,
    NORMALIZATIONS,
    PREPROCESS,
    SEQUENCE_LENGTH,
    TOKENIZER,
    TOKENIZERS,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
)


@dataclass(frozen=True, kw_only=True)
class CheckDataSettings(CommonSettings):
    """Settings of check_data: what is wrong with the files of a folder."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    data_dir: str = option(PREPROCESS, "folder of contest files; may stand without the flag's name", required=True)
    json: str | None = option(None, "file that gets the findings as JSON too")
    sequence_length: int = option(
        PREPROCESS, "convert's, in tokens; tags behind it are counted", SEQUENCE_LENGTH, minimum=5, maximum=LONGEST_ROW
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)


_WITH_TOKENIZER: Conditions = {"tokenizer_name_or_path": OtherThan(None)}


@dataclass(frozen=True, kw_only=True)
class EdaSettings(CommonSettings):
    """Settings of eda: what is in the files of a folder."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    data_dir: str = option(PREPROCESS, "folder of contest files; may stand without the flag's name", required=True)
    output_dir: str = option(PREPROCESS, "where eda.html and eda.json go", "runs/eda")
    tokenizer_name_or_path: str | None = option(
        PREPROCESS, "encoder (name, folder or checkpoint prefix) whose tokenizer counts tokens; default: no tokens"
    )
    tokenizer: str = option(PREPROCESS, TOKENIZER, "auto", choices=TOKENIZERS, only_with=_WITH_TOKENIZER)
    vocabulary_rule: str = option(PREPROCESS, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES, only_with=_WITH_TOKENIZER)
    text_normalization: str = option(
        PREPROCESS,
        "what convert does to texts before they become tokens",
        "none",
        choices=NORMALIZATIONS,
        only_with=_WITH_TOKENIZER,
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_effects(self)
