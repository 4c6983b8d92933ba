"""A trained model as a SavedModel."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import compiling
from easytransfer_mtl.errors import UserError, clipped
from easytransfer_mtl.exporting.graph import all_tasks_function, task_function
from easytransfer_mtl.models.multitask_model import MultiTaskModel

ALL_TASKS = "serving_default"


class _Weights(tf.Module):
    """What TensorFlow stores beside the graph: not the Keras model, which would need Keras to be loaded."""

    def __init__(self, variables: list[tf.Variable]) -> None:
        super().__init__()
        self.weights = variables


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keeps back what TensorFlow logs of the folder, whose name is a temporary one."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def write_saved_model(model: MultiTaskModel, folder: Path) -> None:
    """Writes a SavedModel with a signature per task, under its name in lower case, and ``serving_default`` for all tasks.

    The weights are stored once. Only TensorFlow is needed to load it.

    Raises:
        UserError: the model is of the user's own code and holds something other than variables, such as a table.
    """
    module = _Weights(model.variables)
    functions = {task.scope: task_function(model, task.name) for task in model.tasks}
    functions[ALL_TASKS] = all_tasks_function(model)
    with compiling(False):
        signatures = {name: function.get_concrete_function() for name, function in functions.items()}
        try:
            with _quiet(logging.getLogger("tensorflow")):
                tf.saved_model.save(module, str(folder), signatures)
        except AssertionError as error:
            reason = clipped(str(error).partition("\n")[0])
            raise UserError(
                f"{type(model).__name__} cannot be a SavedModel: besides its Keras variables it needs something that is not "
                f"stored with them ({reason})."
            ) from None
