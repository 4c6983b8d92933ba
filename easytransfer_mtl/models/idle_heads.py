"""Leaves what the tasks that a step does not train have of their own exactly as it was."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel


@contextlib.contextmanager
def keep_idle_heads(model: "MultiTaskModel", trained: tf.Tensor | None) -> Iterator[None]:
    """Has the optimizer pass over the variables of idle tasks, and over its own state of them, inside the block.

    Works with every optimizer whose steps go through ``update_step``, and costs no copies.

    Args:
        model: has heads and an optimizer.
        trained: bool [K], the tasks that the step trains; None makes the block do nothing.
    """
    if trained is None:
        yield
        return
    optimizer = model.optimizer
    moves = {
        optimizer._var_key(variable): trained[index]
        for index in range(len(model.tasks))
        for variable in model.task_variables(index)
    }

    def update_step(gradient: tf.Tensor, variable: tf.Variable) -> None:
        update = type(optimizer).update_step
        move = moves.get(optimizer._var_key(variable))
        if move is None:
            update(optimizer, gradient, variable)
        else:
            tf.cond(move, lambda: update(optimizer, gradient, variable), lambda: None)

    optimizer.update_step = update_step
    try:
        yield
    finally:
        vars(optimizer).pop("update_step", None)  # replicas each set and remove it
