"""A train step on the batch of one task, as the original's."""

from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.adversarial import with_attack
from easytransfer_mtl.models.forward import Forward, forward
from easytransfer_mtl.models.replicas import mean_of
from easytransfer_mtl.models.update import finish_step, heads_to_move
from easytransfer_mtl.weighting import Signals

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel


def alternating_step(model: "MultiTaskModel", batch: "Features") -> dict[str, tf.Tensor]:
    """Does one optimizer step.

    Args:
        model: has an optimizer.
        batch: features, label_ids (int32 [B]) and task_id (int32 []); on several replicas, this one's rows.

    Returns:
        See ``finish_step``.
    """
    step, task_id = tf.identity(model.optimizer.iterations), batch["task_id"]
    loss, accuracy, weights, gradients = gradients_of(model, batch)
    loss, accuracy, *gradients = mean_of([loss, accuracy, *gradients])
    norm = grads.unsummed_norm(gradients)
    signals = _signals(model, task_id, loss, accuracy, step)
    trained = heads_to_move(model, weights)
    if model.options.idle_heads == "skip":
        trained = signals.active if trained is None else signals.active & trained
    return finish_step(model, gradients, norm, signals, weights, trained)


def _signals(model: "MultiTaskModel", task_id: tf.Tensor, loss: tf.Tensor, accuracy: tf.Tensor, step: tf.Tensor) -> Signals:
    active = tf.one_hot(task_id, len(model.tasks), on_value=True, off_value=False, dtype=tf.bool)
    return Signals(tf.where(active, loss, 0.0), active, step, tf.where(active, accuracy, 0.0))


def gradients_of(model: "MultiTaskModel", batch: "Features") -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[grads.Gradient]]:
    """Returns the batch's loss and accuracy, all weights [K], and the weighted loss's gradients of ``trainable_variables``.

    With accumulated batches the batch is computed in equal parts and the results averaged; embedding gradients are
    then dense, so that clipping sees them summed.
    """
    parts = model.options.num_accumulated_batches
    step = model.optimizer.iterations
    if parts == 1:
        model.encoder.clock.time.assign(step)
        return _part_gradients(model, batch)
    rows = tf.shape(batch["label_ids"])[0] // parts
    variables = model.trainable_variables

    def add_part(part: tf.Tensor, loss: tf.Tensor, right: tf.Tensor, _: tf.Tensor, sums: list[tf.Tensor]) -> tuple:
        model.encoder.clock.time.assign(step * parts + tf.cast(part, tf.int64))
        piece = {k: v if k == "task_id" else v[part * rows : (part + 1) * rows] for k, v in batch.items()}
        part_loss, accuracy, weights, gradients = _part_gradients(model, piece)
        sums = [total + gradient / parts for total, gradient in zip(sums, grads.dense(gradients))]
        return part + 1, loss + part_loss / parts, right + accuracy / parts, weights, sums

    zero = tf.constant(0.0)
    start = (tf.constant(0), zero, zero, tf.zeros(len(model.tasks)), [tf.zeros_like(v) for v in variables])
    result = tf.while_loop(lambda part, *_: part < parts, add_part, start, parallel_iterations=1)
    return result[1:]


def _part_gradients(
    model: "MultiTaskModel", batch: "Features"
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[grads.Gradient]]:
    variables, task_id = model.trainable_variables, batch["task_id"]
    with tf.GradientTape() as tape:
        found = forward(model, batch, task_id)
        whole = [tf.stop_gradient(found.loss), found.accuracy]
        if model.options.num_accumulated_batches == 1:  # replicas cannot exchange anything within the parts' loop
            whole = mean_of(whole)
        signals = _signals(model, task_id, *whole, tf.identity(model.optimizer.iterations))
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objective = _objective(model, found, weights, task_id)

    def again() -> list[grads.Gradient | None]:
        with tf.GradientTape() as tape:
            objective = _objective(model, forward(model, batch, task_id), weights, task_id)
        return tape.gradient(objective, variables)

    gradients = with_attack(model, tape.gradient(objective, variables), again)
    gradients = grads.zeros_for_none(gradients, variables)
    if not model.options.scale_heads:
        gradients = grads.scale_shared(gradients, variables, model.shared_variables, weights[task_id])
    return found.loss, found.accuracy, weights, grads.densify_small_tables(gradients, variables)


def _objective(model: "MultiTaskModel", found: Forward, weights: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
    """Returns what the step's gradient is of; a weight that leaves the head alone comes later."""
    return (weights[task_id] * found.objective if model.options.scale_heads else found.objective) + found.penalty
