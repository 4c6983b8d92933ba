"""What all settings share: EasyTransfer's JSON sections, and the configuration file."""

from dataclasses import dataclass

from easytransfer_mtl.config.options import check_settings, option

PREPROCESS, MODEL, TRAIN = "preprocess_config", "model_config", "train_config"
OPTIMIZER, DISTRIBUTION = "train_config.optimizer_config", "train_config.distribution_config"
WEIGHTING, PREDICT, EVALUATE = "train_config.loss_weighting", "predict_config", "evaluate_config"
PRETRAIN = "pretrain_config"
MAX_BAD_SHARE = 0.05
NORMALIZATIONS = ("none", "nfkc")
VOCABULARY_RULES = ("auto", "lines", "easytransfer")
VOCABULARY_RULE = (
    "how ids follow from vocab.txt: lines, the line number, as transformers; easytransfer, repeated lines not counted; "
    "auto: as the encoder was trained"
)
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every command takes."""

    config: str | None = option(None, "EasyTransfer JSON file; flags win over it")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class BadRowSettings(CommonSettings):
    """What becomes of rows that cannot be used, where they may be left out."""

    on_bad_row: str = option(
        PREPROCESS,
        "error stops and tells all bad rows; skip leaves them out (convert sets them aside in a file)",
        "error",
        choices=("error", "skip"),
    )
    max_bad_share: float = option(
        PREPROCESS,
        "with on_bad_row skip: the largest share of a file's rows that may be bad; one row always may",
        MAX_BAD_SHARE,
        minimum=0,
    )
