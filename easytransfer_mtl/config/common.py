"""What all settings share: EasyTransfer's JSON sections, and the configuration file."""

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from easytransfer_mtl.config.options import check_settings, option, options_of

Settings = TypeVar("Settings")

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


class ReadsConfig(type):
    """Makes settings that are given ``config`` take from that file what they are not given themselves."""

    def __call__(cls: type[Settings], **given: Any) -> Settings:
        """Builds the settings.

        Raises:
            UserError: the file cannot be read, or does not fit; or a value does not.
        """
        wanted = options_of(cls)
        if given.get("config") and not given.keys() >= wanted.keys():
            from easytransfer_mtl.config.merging import read_config  # it knows all commands' settings, which know this

            given = {**read_config(wanted, given["config"]), **given}
        return type.__call__(cls, **given)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The settings, for ``help`` and editors."""
        signature = inspect.signature(cls.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


@dataclass(frozen=True, kw_only=True)
class CommonSettings(metaclass=ReadsConfig):
    """What every command takes."""

    config: str | None = option(None, "EasyTransfer JSON file; flags win over it")

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def from_json(cls: type[Settings], path: str | os.PathLike[str], **given: Any) -> Settings:
        """Reads settings from an EasyTransfer JSON file.

        Args:
            path: the file.
            given: settings that win over it, as flags do on the command line.

        Raises:
            UserError: the file cannot be read, or a section, key or value does not fit.
        """
        return cls(config=os.fspath(path), **given)

    @property
    def named_files(self) -> list[Path]:
        """The configuration files that are named, which no output may be written over."""
        values = [getattr(self, name, None) for name in ("config", "tasks_file", "folds_file")]
        return [Path(value) for value in values if value]


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
