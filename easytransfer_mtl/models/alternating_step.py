"""A train step on the batch of one task, as the original's."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.adversarial import with_attack
from easytransfer_mtl.models.forward import Forward, forward
from easytransfer_mtl.models.replicas import mean_of
from easytransfer_mtl.models.update import finish_step, heads_to_move
from easytransfer_mtl.models.weighted_gradients import weighted_gradients
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
    task_id, persistent = batch["task_id"], not model.options.scale_heads
    with tf.GradientTape(persistent=persistent) as tape:
        found = forward(model, batch, task_id)
        whole = [tf.stop_gradient(found.loss), found.accuracy]
        if model.options.num_accumulated_batches == 1:  # replicas cannot exchange anything within the parts' loop
            whole = mean_of(whole)
        signals = _signals(model, task_id, *whole, tf.identity(model.optimizer.iterations))
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objectives = _objectives(found, weights[task_id])

    def again() -> list[list[grads.Gradient | None]]:
        with tf.GradientTape(persistent=persistent) as tape:
            objectives = _objectives(forward(model, batch, task_id), weights[task_id])
        return [weighted_gradients(model, tape, *objectives)]

    [gradients] = with_attack(model, [weighted_gradients(model, tape, *objectives)], again)
    if model.options.rdrop_alpha:
        gradients = [grads.copies_summed(gradient, tf.size(batch["input_ids"])) for gradient in gradients]
    gradients = grads.zeros_for_none(gradients, model.trainable_variables)
    if model.sharing.has_penalty:
        gradients = grads.dense(gradients)
    gradients = grads.densify_small_tables(gradients, model.trainable_variables)
    return Computed(found.loss, found.accuracy, found.penalty, weights, gradients)


def _objectives(found: Forward, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted and the plain objective, both with the penalty."""
    return weight * found.objective + found.penalty, found.objective + found.penalty
