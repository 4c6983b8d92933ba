"""The end of a train step: clipping, freezing, the optimizer, the weighting's own state."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.idle_heads import keep_idle_heads
from easytransfer_mtl.weighting import Signals

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel


def finish_step(
    model: "MultiTaskModel",
    gradients: list[grads.Gradient],
    norm: tf.Tensor,
    signals: Signals,
    weights: tf.Tensor,
    penalty: tf.Tensor,
    trained: tf.Tensor | None = None,
    losses_after: Callable[[], tf.Tensor] | None = None,
) -> dict[str, tf.Tensor]:
    """Moves the model, its averages, then the weighting; tells of the step what its log needs.

    Args:
        model: has an optimizer.
        gradients: of ``trainable_variables``, the same on all replicas.
        norm: their norm for clipping.
        signals, weights: what the weighting was given, and what it gave, float32 [K].
        penalty: what the sharing added to the weighted loss, float32 [].
        trained: bool [K], tasks whose heads the step moves, the others staying as they are; None for all.
        losses_after: computes the losses on the same batches again, for weightings that need them.

    Returns:
        losses (unweighted, zero where a task has no batch), weights and active (which have one) [K]; grad_norm (before
        clipping), learning_rate, and skipped, whether the step was left out because a loss or gradient is not finite
        (``on_nonfinite="skip"``) []; gram [K, K] where the weighting needs it, penalty [] where the sharing has one.
    """

    def move() -> tf.Tensor:
        _move(model, gradients, norm, signals.step, trained)
        model.weighting.update(signals, losses_after() if model.weighting.needs_losses_after else None)
        return tf.constant(False)

    def leave_out() -> tf.Tensor:
        model.optimizer.iterations.assign_add(1)  # the next step has the next batch
        return tf.constant(True)

    if model.options.on_nonfinite == "skip":
        finite = tf.math.is_finite(norm) & tf.reduce_all(tf.math.is_finite(signals.losses))
        skipped = tf.cond(finite, move, leave_out)
    else:
        skipped = move()
    told = {"losses": signals.losses, "weights": weights, "active": signals.active, "grad_norm": norm, "skipped": skipped}
    told["learning_rate"] = tf.convert_to_tensor(model.optimizer.learning_rate)  # the optimizer sets it in its step
    more = {"gram": signals.gram, "penalty": penalty if model.sharing.has_penalty else None}
    return told | {name: value for name, value in more.items() if value is not None}


def heads_to_move(model: "MultiTaskModel", weights: tf.Tensor) -> tf.Tensor | None:
    """Returns which tasks' heads a step may move, bool [K], or None for all: not one whose task has the weight 0.

    Its gradient is 0, but decay and old moments would still move it.
    """
    if not (model.weighting.may_be_zero and model.options.scale_heads):
        return None
    return tf.not_equal(weights, 0.0)


def _move(
    model: "MultiTaskModel",
    gradients: list[grads.Gradient],
    norm: tf.Tensor,
    step: tf.Tensor,
    trained: tf.Tensor | None,
) -> None:
    variables, options = model.trainable_variables, model.options
    factor = grads.clip_factor(norm, options.clip_norm)
    gradients = grads.freeze(grads.dense(gradients), variables, model.frozen_variables)
    with keep_idle_heads(model, trained):
        grads.apply_scaled(model.optimizer, gradients, variables, factor)
    if model.averages:
        model.averages.update(step)
