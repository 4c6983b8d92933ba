"""A train step on the batch of one task, as the original's."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.forward import forward
from easytransfer_mtl.models.replicas import mean_of
from easytransfer_mtl.models.update import finish_step, heads_to_move
from easytransfer_mtl.weighting import Signals

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel


class Computed(NamedTuple):
    """What a batch came to.

    Attributes:
        loss: the task's, unweighted, float32 [].
        accuracy: see ``MultiTaskModel.accuracy_of``, float32 [].
        penalty: what the sharing adds to the weighted loss, float32 [].
        weights: all tasks', float32 [K].
        gradients: the weighted loss's and the penalty's, of ``trainable_variables``.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    penalty: tf.Tensor
    weights: tf.Tensor
    gradients: list[grads.Gradient]


def alternating_step(model: "MultiTaskModel", batch: "Features") -> dict[str, tf.Tensor]:
    """Does one optimizer step.

    Args:
        model: has an optimizer.
        batch: features, label_ids (int32 [B]) and task_id (int32 []); on several replicas, this one's rows.

    Returns:
        See ``finish_step``.
    """
    step, task_id = tf.identity(model.optimizer.iterations), batch["task_id"]
    loss, accuracy, penalty, weights, gradients = gradients_of(model, batch)
    loss, accuracy, *gradients = mean_of([loss, accuracy, *gradients])
    norm = grads.unsummed_norm(gradients)
    signals = _signals(model, task_id, loss, accuracy, step)
    trained = heads_to_move(model, weights)
    if model.options.idle_heads == "skip":
        trained = signals.active if trained is None else signals.active & trained
    return finish_step(model, gradients, norm, signals, weights, penalty, trained)


def _signals(model: "MultiTaskModel", task_id: tf.Tensor, loss: tf.Tensor, accuracy: tf.Tensor, step: tf.Tensor) -> Signals:
    active = tf.one_hot(task_id, len(model.tasks), on_value=True, off_value=False, dtype=tf.bool)
    return Signals(tf.where(active, loss, 0.0), active, step, tf.where(active, accuracy, 0.0))


def gradients_of(model: "MultiTaskModel", batch: "Features") -> Computed:
    """Computes a batch's loss and gradients.

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

    def add_part(part: tf.Tensor, before: Computed) -> tuple[tf.Tensor, Computed]:
        model.encoder.clock.time.assign(step * parts + tf.cast(part, tf.int64))
        piece = {k: v if k == "task_id" else v[part * rows : (part + 1) * rows] for k, v in batch.items()}
        found = _part_gradients(model, piece)
        loss, accuracy, penalty = (total + value / parts for total, value in zip(before[:3], found[:3]))
        sums = [total + gradient / parts for total, gradient in zip(before.gradients, grads.dense(found.gradients))]
        return part + 1, Computed(loss, accuracy, penalty, found.weights, sums)

    zero = tf.constant(0.0)
    start = Computed(zero, zero, zero, tf.zeros(len(model.tasks)), [tf.zeros_like(v) for v in variables])
    return tf.while_loop(lambda part, _: part < parts, add_part, (tf.constant(0), start), parallel_iterations=1)[1]


def _part_gradients(model: "MultiTaskModel", batch: "Features") -> Computed:
    variables, task_id, scale_heads = model.trainable_variables, batch["task_id"], model.options.scale_heads
    apart = model.sharing.has_penalty and not scale_heads  # the weight scales the loss's gradients, the penalty's never
    with tf.GradientTape(persistent=apart) as tape:
        loss, accuracy, penalty = forward(model, batch, task_id)
        whole = [tf.stop_gradient(loss), accuracy]
        if model.options.num_accumulated_batches == 1:  # replicas cannot exchange anything within the parts' loop
            whole = mean_of(whole)
        signals = _signals(model, task_id, *whole, tf.identity(model.optimizer.iterations))
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objective = weights[task_id] * loss + penalty if scale_heads else loss
    gradients = grads.zeros_for_none(tape.gradient(objective, variables), variables)
    if not scale_heads:
        gradients = grads.scale_shared(gradients, variables, model.shared_variables, weights[task_id])
    if apart:
        gradients = grads.added(grads.dense(gradients), tape.gradient(penalty, variables))
    if model.sharing.has_penalty:
        gradients = grads.dense(gradients)
    return Computed(loss, accuracy, penalty, weights, grads.densify_small_tables(gradients, variables))
