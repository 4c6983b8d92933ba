"""The settings of further pre-training."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import (
    LARGEST_NORM,
    LARGEST_SEED,
    LONGEST_ROW,
    MOST_EPOCHS,
    MOST_ROWS,
    MOST_STEPS,
    NORMALIZATIONS,
    PREPROCESS,
    PRETRAIN,
    PRETRAIN_PRECISIONS,
    SMALLEST_SEED,
    TOKENIZER,
    TOKENIZERS,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
)
from easytransfer_mtl.seeding import DEFAULT_SEED

MASKINGS = ("token", "wwm", "ngram")
PACKINGS = ("full", "none")
TEXTS = "texts"
"""Value of ``word_vectors`` for vectors computed from the texts."""


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(CommonSettings):
    """Settings of pretrain: further pre-training of an encoder on the tasks' texts."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    data_dir: str = option(
        PREPROCESS, "folder of contest files; the texts of all train, dev and test files are used, no labels", required=True
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)
    text_normalization: str = option(PREPROCESS, "as convert's; take the same here", "none", choices=NORMALIZATIONS)
    pretrain_model_name_or_path: str = option(
        PRETRAIN, "encoder to go on from: as train's, also the final/ folder of another pre-training", required=True
    )
    tokenizer: str = option(PRETRAIN, TOKENIZER, "auto", choices=TOKENIZERS)
    vocabulary_rule: str = option(PRETRAIN, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES)
    random_init: bool = option(PRETRAIN, "start from random weights; reads config.json and vocab.txt only", False)
    random_pooler: bool = option(PRETRAIN, "draw a random pooler if the checkpoint has none", False)
    word_vectors: str | None = option(
        PRETRAIN,
        "with random_init, what the tokens' embeddings start from: texts, vectors worked out of the texts themselves; or a "
        "text file of static vectors (word2vec, fastText)",
    )
    model_dir: str = option(PRETRAIN, "folder of the run: checkpoints, logs, final/", required=True)
    sequence_length: int = option(PRETRAIN, "tokens a row at most", 128, minimum=5, maximum=LONGEST_ROW)
    packing: str = option(
        PRETRAIN, "full: several single texts a row; none: one. Pairs have a row of their own", "full", choices=PACKINGS
    )
    masking: str = option(
        PRETRAIN,
        "what is masked together: token by token; wwm, whole words (needs jieba); ngram, runs of 1 to 3 words (too)",
        "token",
        choices=MASKINGS,
    )
    mask_share: float = option(PRETRAIN, "share of the tokens to predict", 0.15, minimum=0, maximum=1)
    held_out: float = option(
        PRETRAIN, "share of the texts that is not trained on but measured on", 0.02, minimum=0, maximum=1
    )
    train_batch_size: int = option(PRETRAIN, "rows a batch", 32, minimum=1, maximum=MOST_ROWS)
    num_epochs: float = option(PRETRAIN, "passes over all rows; fractions allowed", 1.0, minimum=0, maximum=MOST_EPOCHS)
    train_steps: int | None = option(PRETRAIN, "steps in all, instead of num_epochs", minimum=1, maximum=MOST_STEPS)
    learning_rate: float = option(PRETRAIN, "peak rate before decay", 1e-4, minimum=0, maximum=1000)
    weight_decay_ratio: float = option(PRETRAIN, "weight decay, not for LayerNorm and biases", 0.01, minimum=0, maximum=1000)
    warmup_ratio: float = option(PRETRAIN, "share of the steps with rising rate", 0.1, minimum=0, maximum=1)
    clip_norm_value: float = option(PRETRAIN, "norm to clip gradients to", 1.0, above=0, maximum=LARGEST_NORM)
    precision: str = option(
        PRETRAIN,
        "number format of training's matrix products; bfloat16 is faster on some machines (run doctor); on GPUs never run",
        "float32",
        choices=PRETRAIN_PRECISIONS,
    )
    length_grouping: int = option(
        PRETRAIN,
        "sort this many batches at a time by length, so that less is padded; 1: off",
        100,
        minimum=1,
        maximum=100_000,
    )
    length_buckets: int = option(
        PRETRAIN,
        "pad to at most this many lengths; each costs compiling, so at most one for 20 steps",
        8,
        minimum=1,
        maximum=LONGEST_ROW,
    )
    save_steps: int | None = option(
        PRETRAIN,
        "steps between checkpoints and measurements; default once per epoch, 0 start and end only",
        minimum=0,
        maximum=MOST_STEPS,
    )
    keep_checkpoint_max: int = option(PRETRAIN, "checkpoints kept", 2, minimum=1, maximum=1_000_000)
    log_step_count_steps: int = option(PRETRAIN, "steps between progress lines", 100, minimum=1, maximum=MOST_STEPS)
    seed: int = option(PRETRAIN, "seed of everything random", DEFAULT_SEED, minimum=SMALLEST_SEED, maximum=LARGEST_SEED)
