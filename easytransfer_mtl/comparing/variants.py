"""What is compared: variants of one training."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.models.sharing_options import SharingOptions, options_read

FIXED = ("config", "model_dir", "seed", "train_input_fp", "predict_input_fp", "tables", "mode")
"""Settings that a variant cannot have of its own."""
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: as the user wrote it.
        settings: what differs from the command's own settings.
    """

    name: str
    settings: dict[str, Any]

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return re.sub(r"[^A-Za-z0-9.=,+-]+", "_", self.name)


def parse_variants(text: str) -> list[Variant]:
    """Parses ``equal; fixed task_weights=ocnli=2``.

    Raises:
        UserError: a variant or a setting is unknown, does not fit, or is there twice.
    """
    options = options_of(TrainSettings)
    variants = []
    for item in filter(None, (" ".join(part.split()) for part in text.split(";"))):
        method, *words = item.split()
        settings = {"loss_weighting": options["loss_weighting"].convert(method, f"variants: {item}")}
        for word in words:
            name, sign, value = word.partition("=")
            if not sign or name not in options or name in FIXED:
                raise UserError(f"variants: {item!r}: {word!r} is not SETTING=VALUE with a setting of train's.")
            settings[name] = options[name].convert(value, f"variants: {item}")
        variants.append(Variant(item, settings))
    if not variants or len({variant.folder for variant in variants}) < len(variants):
        raise UserError(f"variants {text!r}: there must be at least one, and none twice.")
    return variants


def parse_seeds(text: str) -> list[int]:
    """Parses ``1,2,3``.

    Raises:
        UserError: something is no whole number, or twice.
    """
    try:
        seeds = [options_of(TrainSettings)["seed"].convert(part.strip(), "seeds") for part in text.split(",")]
    except UserError as error:
        raise UserError(f"{error} Give a comma list of different whole numbers.") from None
    if len(set(seeds)) < len(seeds) or len(seeds) > MOST_SEEDS:
        raise UserError(f"seeds {shown(text)} must be a comma list of different whole numbers, at most {MOST_SEEDS}.")
    return seeds


def training_of(settings: CompareSettings, variant: Variant, seed: int, model_dir: str, **more: Any) -> TrainSettings:
    """Returns the settings of one training.

    Raises:
        UserError: they do not fit together.
    """
    own = {field.name: getattr(settings, field.name) for field in dataclasses.fields(TrainSettings)}
    values = {**own, **variant.settings}
    # What all variants have in common may be of one structure only.
    read = options_read(*(values[name] for name in ("sharing", "private_part", "private_layers")))
    unread = {option.name: option.default for option in dataclasses.fields(SharingOptions) if option.name not in read}
    return TrainSettings(
        **{**own, **unread, **variant.settings, "seed": seed, "model_dir": model_dir, "config": None, **more}
    )


def command_line(settings: TrainSettings) -> list[str]:
    """Returns the flags that make ``train`` use exactly these settings."""
    flags = []
    for name, item in options_of(TrainSettings).items():
        value = getattr(settings, name)
        if value != item.default and value is not None:
            flags.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return flags
