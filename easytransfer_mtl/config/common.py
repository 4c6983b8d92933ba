"""What all settings share: EasyTransfer's JSON sections, and the configuration file."""

from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.config.options import check_settings, option

PREPROCESS, MODEL, TRAIN = "preprocess_config", "model_config", "train_config"
OPTIMIZER, DISTRIBUTION = "train_config.optimizer_config", "train_config.distribution_config"
WEIGHTING, PREDICT, EVALUATE = "train_config.loss_weighting", "predict_config", "evaluate_config"
PRETRAIN = "pretrain_config"
NORMALIZATIONS = ("none", "nfkc")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every command takes."""

    config: str | None = option(None, "EasyTransfer JSON file; flags win over it")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def named_files(self) -> list[Path]:
        """The configuration files that are named, which no output may be written over."""
        values = [getattr(self, name, None) for name in ("config", "tasks_file", "folds_file")]
        return [Path(value) for value in values if value]
