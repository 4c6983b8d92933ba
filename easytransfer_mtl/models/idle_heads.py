"""Leaves the heads of the tasks that a step does not train exactly as they were."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models.replicas import assign

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel


@contextlib.contextmanager
def keep_idle_heads(model: "MultiTaskModel", trained: tf.Tensor | None) -> Iterator[None]:
    """Puts idle heads and their optimizer state back to what they were before the block.

    Works with every optimizer, since it looks at variables only; heads are small, so the copies cost next to nothing.

    Args:
        model: has heads and, built, an optimizer.
        trained: bool [K], the tasks that the step trains; None makes the block do nothing.
    """
    if trained is None:
        yield
        return
    saved = [
        (variable, tf.identity(variable), trained[index])
        for index in range(len(model.tasks))
        for variable in _state_of(model, model.task_variables(index))
    ]
    with tf.control_dependencies([value for _, value, _ in saved]):
        yield
    for variable, value, moves in saved:
        assign(variable, tf.where(moves, variable, value))


def _state_of(model: "MultiTaskModel", variables: list[tf.Variable]) -> list[tf.Variable]:
    """Returns head variables and the optimizer's slots of them, which carry the variable's name in theirs."""
    names = tuple(f"/{variable.name.split(':')[0]}" for variable in variables)
    slots = [slot for slot in model.optimizer.variables if slot.name.split(":")[0].endswith(names)]
    return variables + slots
