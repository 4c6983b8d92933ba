"""Weights out of a run's checkpoints that no step had: the moving averages, and the mean of several checkpoints."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.encoders.finite import check_variables
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import readable_by_tensorflow
from easytransfer_mtl.models.averages import WeightAverages
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.checkpoints import UNUSABLE, read_model, restore_model

PART = "averages"
"""What a checkpoint calls its averages."""


def averages_part(averages: WeightAverages | None) -> dict[str, tf.train.Checkpoint]:
    """Returns what a run's checkpoint object holds besides the model: the averages, if there are any."""
    return {PART: tf.train.Checkpoint(values=averages.averages)} if averages else {}


def has_averages(prefix: Path) -> bool:
    """Tells whether a checkpoint holds moving averages; not one that cannot be read."""
    try:
        with readable_by_tensorflow(prefix) as path:
            return any(name.startswith(f"{PART}/") for name, _ in tf.train.list_variables(path))
    except UNUSABLE:
        return False


def restore_averages(model: MultiTaskModel, prefix: Path) -> None:
    """Gives a model the moving averages of a checkpoint as its weights.

    Raises:
        UserError: the checkpoint is damaged, does not fit, or has none.
        NonFiniteError: an average is NaN or infinite.
    """
    read_model(model, prefix)
    averages = tf.train.Checkpoint(**{PART: tf.train.Checkpoint(values=model.trainable_variables)})
    try:
        with readable_by_tensorflow(prefix) as path:
            averages.read(path).expect_partial().assert_existing_objects_matched()
    except UNUSABLE as error:
        raise UserError(f"The averages in {prefix} cannot be restored: {str(error).splitlines()[0]}") from None
    check_variables(model.variables, f"The averages in {prefix}")


def restore_mean(model: MultiTaskModel, prefixes: Sequence[Path]) -> None:
    """Gives a model the mean of several checkpoints' trainable weights; the others are the last one's.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (SWA), UAI 2018. The model has no
    batch normalisation, so there are no statistics to work out anew.

    Raises:
        UserError: a checkpoint is damaged or does not fit.
        NonFiniteError: a weight of one is NaN or infinite.
    """
    means = None
    for count, prefix in enumerate(prefixes, 1):
        restore_model(model, prefix)
        values = [variable.numpy() for variable in model.trainable_variables]
        means = values if means is None else [mean + (value - mean) / count for mean, value in zip(means, values)]
    for variable, mean in zip(model.trainable_variables, means or []):
        variable.assign(mean)
