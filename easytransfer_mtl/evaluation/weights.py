"""Weights in a run's checkpoints: those of one checkpoint, its moving averages, or the mean of several."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.encoders.finite import check_variables
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import readable_by_tensorflow
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoint_files import prefix_of
from easytransfer_mtl.runs.checkpoints import AVERAGES, UNUSABLE

RAW, EMA = "@raw", "@ema"


@dataclass(frozen=True)
class Weights:
    """Weights on disk. They sort in the order of the tables; of equal scores the last is the best.

    Attributes:
        prefixes: the checkpoint prefixes; the mean over all if there are several.
        is_ema: whether the moving averages in the checkpoint are meant.
    """

    prefixes: tuple[Path, ...]
    is_ema: bool = False

    @classmethod
    def of_step(cls, folder: Path, step: int, is_ema: bool = False) -> "Weights":
        """Returns the weights of a run's checkpoint."""
        return cls((prefix_of(folder, step),), is_ema)

    @property
    def prefix(self) -> Path:
        """The checkpoint prefix; the last one if there are several."""
        return self.prefixes[-1]

    @property
    def step(self) -> int:
        """The step at the end of the checkpoint's name; 0 for a name without one."""
        found = re.search(r"-(\d+)$", self.prefix.name)
        return int(found[1]) if found else 0

    @property
    def kind(self) -> str:
        """``raw``, ``ema`` or ``swa``, as in tables and export.json."""
        return "swa" if len(self.prefixes) > 1 else "ema" if self.is_ema else "raw"

    @property
    def is_trained(self) -> bool:
        """False for step 0, the start of the run."""
        return self.step > 0

    @property
    def label(self) -> str:
        """The name for use in a sentence."""
        return str(self) if len(self.prefixes) > 1 else f"checkpoint {self}"

    def __str__(self) -> str:
        if len(self.prefixes) > 1:
            return f"swa of {len(self.prefixes)} checkpoints"
        return f"{self.step} ema" if self.is_ema else str(self.step)

    def __lt__(self, other: "Weights") -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[int, int, bool]:
        return self.step, len(self.prefixes), self.is_ema

    def check(self) -> None:
        """Raises UserError if moving averages are meant and the checkpoint has none."""
        there = Path(f"{self.prefix}.index").is_file()  # a missing checkpoint is reported when it is read
        if self.is_ema and there and not has_averages(self.prefix):
            raise UserError(
                f"{self.prefix}{EMA}: the checkpoint holds no moving averages, which only runs with --ema_decay have; write "
                f"{self.prefix}."
            )

    def restore(self, model: MultiTaskModel) -> None:
        """Loads these weights into a model.

        Raises:
            UserError: a checkpoint is damaged, does not fit the model, or has no such weights.
            NonFiniteError: a weight is NaN or infinite.
        """
        if len(self.prefixes) > 1:
            _restore_mean(model, self.prefixes)
        elif self.is_ema:
            self.check()
            _restore_averages(model, self.prefix)
        else:
            _restore(model, self.prefix)


def weights_in(checkpoints: dict[int, Path], swa_checkpoints: int) -> list[Weights]:
    """Returns all weights to score in a run's checkpoints, sorted.

    Step 0 is untrained: its moving averages equal its weights and are not scored, and it is left out of the mean.

    Args:
        checkpoints: step -> prefix.
        swa_checkpoints: number of last checkpoints to average, or all if there are fewer; 0 for no mean. A single checkpoint
            gives no mean.
    """
    found = [Weights((prefix,)) for prefix in checkpoints.values()]
    found += [Weights((prefix,), True) for step, prefix in checkpoints.items() if step and has_averages(prefix)]
    last = [step for step in sorted(checkpoints) if step][-swa_checkpoints:] if swa_checkpoints else []
    if len(last) > 1:
        found.append(Weights(tuple(checkpoints[step] for step in last)))
    elif swa_checkpoints:
        logging.warning("swa_checkpoints has no effect: a mean needs 2 checkpoints or more, and there is %d.", len(last))
    return sorted(found)


def split_kind(text: str) -> tuple[str, str]:
    """Splits a path or pattern from its ending ``@raw`` or ``@ema``; the ending is an empty string if there is none.

    A checkpoint's index file, which file managers and shells suggest, stands for its prefix.
    """
    if text.endswith(".index") and Path(text).is_file():
        return text.removesuffix(".index"), ""
    for kind in (RAW, EMA):
        if text.endswith(kind) and not Path(text).exists() and not Path(f"{text}.index").exists():
            return text.removesuffix(kind), kind
    return text, ""


def weights_at(text: str) -> Weights:
    """Returns the weights named by ``PREFIX``, ``PREFIX@raw`` or ``PREFIX@ema``; the checkpoint need not exist."""
    path, kind = split_kind(text)
    return Weights((Path(path),), kind == EMA)


def has_averages(prefix: Path) -> bool:
    """Returns whether a checkpoint holds moving averages; False if it cannot be read."""
    try:
        with readable_by_tensorflow(prefix) as path:
            return any(name.startswith(f"{AVERAGES}/") for name, _ in tf.train.list_variables(path))
    except UNUSABLE:
        return False


def _restore(model: MultiTaskModel, prefix: Path) -> None:
    _read(model, prefix)
    check_variables(model.variables, f"Checkpoint {prefix}")


def _restore_averages(model: MultiTaskModel, prefix: Path) -> None:
    """Restores the moving averages as weights; variables without averages get the checkpoint's weights."""
    _read(model, prefix)
    averages = tf.train.Checkpoint(**{AVERAGES: tf.train.Checkpoint(values=model.trainable_variables)})
    try:
        with readable_by_tensorflow(prefix) as path:
            averages.read(path).expect_partial().assert_existing_objects_matched()
    except UNUSABLE as error:
        raise UserError(f"The averages in {prefix} cannot be restored: {str(error).splitlines()[0]}") from None
    check_variables(model.variables, f"The averages in {prefix}")


def _restore_mean(model: MultiTaskModel, prefixes: Sequence[Path]) -> None:
    """Restores the mean of the trainable weights; other weights are those of the last checkpoint.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (SWA), UAI 2018. The model has no
    batch normalisation, so no statistics have to be recomputed.
    """
    means = None
    for count, prefix in enumerate(prefixes, 1):
        _restore(model, prefix)
        values = [variable.numpy() for variable in model.trainable_variables]
        means = values if means is None else [mean + (value - mean) / count for mean, value in zip(means, values)]
    for variable, mean in zip(model.trainable_variables, means or []):
        variable.assign(mean)


def _read(model: MultiTaskModel, prefix: Path) -> None:
    try:
        with readable_by_tensorflow(prefix) as path:
            status = tf.train.Checkpoint(model=model).read(path)
            status.expect_partial().assert_existing_objects_matched()
            stored = [name for name, _ in tf.train.list_variables(path) if _is_weight(name)]
    except UNUSABLE as error:
        raise UserError(f"Checkpoint {prefix} cannot be restored: {str(error).splitlines()[0]}") from None
    if len(stored) > len(model.variables):
        raise UserError(
            f"Checkpoint {prefix} holds {len(stored)} weights, {type(model).__name__} has {len(model.variables)}: it is of "
            "another model class. Evaluate it with the class it was trained with."
        )


def _is_weight(stored: str) -> bool:
    """Returns whether a stored name belongs to a weight that predictions may depend on."""
    return stored.startswith("model/") and not stored.startswith(("model/optimizer/", "model/weighting/"))
