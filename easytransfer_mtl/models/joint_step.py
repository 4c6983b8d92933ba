"""A train step on a batch of every task."""

from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.forward import Forward, forward
from easytransfer_mtl.models.replicas import mean_of
from easytransfer_mtl.models.update import finish_step, heads_to_move
from easytransfer_mtl.weighting import Signals

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel

Batches = dict[str, "Features"]


def joint_step(model: "MultiTaskModel", batches: Batches) -> dict[str, tf.Tensor]:
    """Does one optimizer step on the weighted sum of all tasks' losses.

    Methods of scalars take one backward pass. Methods of the Gram matrix take one per task; of those that read some
    variables only, these passes end there, and a whole one follows for the weighted sum.

    Args:
        model: has an optimizer.
        batches: task name -> features, label_ids (int32 [B]) and task_id (int32 []); on several replicas, this one's rows.

    Returns:
        See ``finish_step``.
    """
    step = tf.identity(model.optimizer.iterations)
    gradients_and_signals = _from_gram if model.weighting.needs_gram else _from_scalars
    gradients, weights, signals = gradients_and_signals(model, batches, step)
    norm = tf.linalg.global_norm(gradients)

    def losses_after() -> tf.Tensor:
        losses = [_forward(model, batches, index, step).loss for index in range(len(model.tasks))]
        return tf.stack(mean_of(losses))

    return finish_step(model, gradients, norm, signals, weights, heads_to_move(model, weights), losses_after)


def task_gram(model: "MultiTaskModel", batches: Batches) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the losses [K] and the Gram matrix [K, K] of their gradients on this replica's rows; changes nothing.

    Dropout is on, its masks those of the last step.
    """
    step = tf.maximum(model.optimizer.iterations - 1, 0)
    variables, losses, found = model.gram_variables(), [], []
    for index in range(len(model.tasks)):
        with tf.GradientTape() as tape:
            loss = _forward(model, batches, index, step).loss
        losses.append(loss)
        found.append(grads.dense(grads.zeros_for_none(tape.gradient(loss, variables), variables)))
    return tf.stack(losses), grads.gram_matrix(found)


def _forward(model: "MultiTaskModel", batches: Batches, index: int, step: tf.Tensor) -> Forward:
    """Computes one task's loss; every task of a step has dropout masks of its own, the same when repeated."""
    model.encoder.clock.time.assign(step * len(model.tasks) + index)
    return forward(model, batches[model.tasks[index].name], tf.constant(index))


def _signals(forwards: list[Forward], step: tf.Tensor, gram: tf.Tensor | None = None) -> Signals:
    losses, accuracies = (tf.stack(mean_of([tf.stop_gradient(each[part]) for each in forwards])) for part in (0, 1))
    return Signals(losses, tf.ones_like(losses, tf.bool), step, accuracies, gram)


def _from_scalars(model: "MultiTaskModel", batches: Batches, step: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, Signals]:
    """Returns the weighted sum's gradients of ``trainable_variables``, the weights, and the signals."""
    with tf.GradientTape(persistent=True) as tape:
        forwards = [_forward(model, batches, index, step) for index in range(len(model.tasks))]
        signals = _signals(forwards, step)
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objective, plain_sum = _objectives(forwards, weights)
    return _whole_gradients(model, tape, objective, plain_sum), weights, signals


def _objectives(forwards: list[Forward], weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted and the plain sum of the losses, both with the penalties."""
    losses = tf.stack([part.loss for part in forwards])
    penalty = tf.add_n([part.penalty for part in forwards])
    return tf.reduce_sum(weights * losses) + penalty, tf.reduce_sum(losses) + penalty


def _from_gram(model: "MultiTaskModel", batches: Batches, step: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, Signals]:
    """The same by way of every task's own gradients."""
    if model.options.gram_variables != "all":
        return _from_partial_gram(model, batches, step)
    variables, forwards, found = model.trainable_variables, [], []
    for index in range(len(model.tasks)):
        with tf.GradientTape() as tape:
            forwards.append(_forward(model, batches, index, step))
        found.append(mean_of(grads.dense_where_any(tape.gradient(forwards[-1].loss, variables))))
    read = sorted(grads.positions_of(model.gram_variables(), variables))
    gram = grads.gram_matrix([_filled(task, variables, read) for task in found])
    signals = _signals(forwards, step, gram)
    weights = model.weighting.weights(signals)
    shared = grads.positions_of(model.shared_variables, variables)
    combined = []
    for place, variable in enumerate(variables):
        own = [task for task in range(len(found)) if found[task][place] is not None]
        factors = tf.gather(weights, own) if place in shared or model.options.scale_heads else tf.ones(len(own))
        parts = [found[task][place] for task in own]
        combined.append(grads.weighted_sum(factors, parts) if parts else tf.zeros_like(variable))
    return combined, weights, signals


def _filled(gradients: list[tf.Tensor | None], variables: list[tf.Variable], places: list[int]) -> list[tf.Tensor]:
    return grads.zeros_for_none([gradients[place] for place in places], [variables[place] for place in places])


def _from_partial_gram(
    model: "MultiTaskModel", batches: Batches, step: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor, Signals]:
    read = model.gram_variables()
    with tf.GradientTape(persistent=True) as tape:
        forwards = [_forward(model, batches, index, step) for index in range(len(model.tasks))]
        with tape.stop_recording():
            found = [grads.zeros_for_none(tape.gradient(part.loss, read), read) for part in forwards]
            signals = _signals(forwards, step, grads.gram_matrix([mean_of(grads.dense(part)) for part in found]))
            weights = model.weighting.weights(signals)
        objective, plain_sum = _objectives(forwards, weights)
    return _whole_gradients(model, tape, objective, plain_sum), weights, signals


def _whole_gradients(
    model: "MultiTaskModel", tape: tf.GradientTape, objective: tf.Tensor, plain_sum: tf.Tensor
) -> list[tf.Tensor]:
    """Returns the objective's gradients, dense; with ``scale_heads`` off the heads' own are the plain sum's."""
    variables = model.trainable_variables
    gradients = tape.gradient(objective, variables)
    if not model.options.scale_heads:
        shared = grads.positions_of(model.shared_variables, variables)
        own = [place for place in range(len(variables)) if place not in shared]
        for place, gradient in zip(own, tape.gradient(plain_sum, [variables[place] for place in own])):
            gradients[place] = gradient
    return mean_of(grads.dense(grads.zeros_for_none(gradients, variables)))
