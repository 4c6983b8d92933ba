"""The variants of a training that are compared."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.config.options import check_effects, options_of, without_effect
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError, shown

FIXED = ("config", "model_dir", "seed", "train_input_fp", "predict_input_fp", "tables", "mode")
"""Settings that a variant cannot change."""
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Variant:
    """A variant of the training.

    Attributes:
        name: as the user wrote it.
        settings: the differences from the command's own settings.
    """

    name: str
    settings: dict[str, Any]

    @property
    def folder(self) -> str:
        """The name with characters that are safe in a folder's name."""
        return re.sub(r"[^A-Za-z0-9.=,+-]+", "_", self.name)


def parse_variants(text: str) -> list[Variant]:
    """Parses ``equal; fixed task_weights=ocnli=2``.

    Raises:
        UserError: there is no variant, one is given twice, or a variant or a setting is unknown or invalid.
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
        UserError: an item is not a whole number or is given twice, or there are too many.
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
        UserError: the settings do not fit together.
    """
    values = {**_common(settings), **variant.settings, "seed": seed, "model_dir": model_dir, "config": None, **more}
    # What all variants have in common may have an effect with some of them only.
    idle = set(without_effect(TrainSettings(**values))) - variant.settings.keys()
    return TrainSettings(**{**values, **{name: options_of(TrainSettings)[name].default for name in idle}})


def check_common(settings: CompareSettings, variants: list[Variant]) -> None:
    """Raises UserError if a setting that all variants have in common has an effect with none of them."""
    every = [TrainSettings(**{**_common(settings), **variant.settings, "config": None}) for variant in variants]
    idle = [set(without_effect(made)) - variant.settings.keys() for made, variant in zip(every, variants)]
    if set.intersection(*idle):
        check_effects(every[0])


def _common(settings: CompareSettings) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(TrainSettings)}


def command_line(settings: TrainSettings) -> list[str]:
    """Returns the flags that make ``train`` use exactly these settings."""
    flags = []
    for name, item in options_of(TrainSettings).items():
        value = getattr(settings, name)
        if value != item.default and value is not None:
            flags.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return flags
