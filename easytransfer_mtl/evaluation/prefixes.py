"""A run's checkpoint by its prefix, with the kind of its weights: ``PREFIX``, ``PREFIX@raw``, ``PREFIX@ema``."""

import logging
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.averaged_weights import has_averages, restore_averages
from easytransfer_mtl.training.checkpoints import restore_model

RAW, EMA = "@raw", "@ema"


@dataclass(frozen=True)
class Prefix:
    """A checkpoint's prefix and whether its moving averages are meant instead of the weights that training moved."""

    path: Path
    is_ema: bool

    def restore(self, model: MultiTaskModel) -> None:
        """Gives a model these weights, and says in the log which they are if the checkpoint has both.

        Raises:
            UserError: the checkpoint is damaged, does not fit, or has no such weights.
        """
        if self.is_ema:
            self.check()
            restore_averages(model, self.path)
            return
        restore_model(model, self.path)
        if has_averages(self.path):
            logging.info("%s: the weights of its last step; its moving averages are %s%s", self.path, self.path, EMA)

    def check(self) -> None:
        """Raises UserError if moving averages are meant and the checkpoint has none."""
        there = Path(f"{self.path}.index").is_file()  # what is not there at all is told by who reads it
        if self.is_ema and there and not has_averages(self.path):
            raise UserError(
                f"{self.path}{EMA}: the checkpoint holds no moving averages, which only runs with --ema_decay have; write "
                f"{self.path}."
            )


def split_kind(text: str) -> tuple[str, str]:
    """Returns a path, or a pattern of paths, and ``@raw`` or ``@ema`` if it ends so, else an empty text.

    A checkpoint's index file, which file managers and shells offer, stands for its prefix.
    """
    if text.endswith(".index") and Path(text).is_file():
        return text.removesuffix(".index"), ""
    for kind in (RAW, EMA):
        if text.endswith(kind) and not Path(text).exists() and not Path(f"{text}.index").exists():
            return text.removesuffix(kind), kind
    return text, ""


def parse_prefix(text: str) -> Prefix:
    """Returns the prefix and kind that a text names, whether there is such a checkpoint or not."""
    path, kind = split_kind(text)
    return Prefix(Path(path), kind == EMA)
