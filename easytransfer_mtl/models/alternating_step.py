"""A train step on the batch of one task, as the original's."""

from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.forward import forward
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
        loss, accuracy, penalty = forward(model, batch, task_id)
        whole = [tf.stop_gradient(loss), accuracy]
        if model.options.num_accumulated_batches == 1:  # replicas cannot exchange anything within the parts' loop
            whole = mean_of(whole)
        signals = _signals(model, task_id, *whole, tf.identity(model.optimizer.iterations))
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objective = (weights[task_id] * loss if model.options.scale_heads else loss) + penalty
    gradients = grads.zeros_for_none(tape.gradient(objective, variables), variables)
    if not model.options.scale_heads:
        gradients = grads.scale_shared(gradients, variables, model.shared_variables, weights[task_id])
    return loss, accuracy, weights, grads.densify_small_tables(gradients, variables)
