"""A train step on a batch of every task."""

from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.adversarial import Gradients, with_attack
from easytransfer_mtl.models.forward import Forward, forward
from easytransfer_mtl.models.replicas import mean_of
from easytransfer_mtl.models.update import finish_step, heads_to_move
from easytransfer_mtl.models.weighted_gradients import weighted_gradients
from easytransfer_mtl.weighting import Signals

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel

Batches = dict[str, "Features"]
Found = tuple[list[tf.Tensor], tf.Tensor, Signals, tf.Tensor]
"""The gradients of ``trainable_variables``, the weights, the signals, and the sum of the penalties."""


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
    gradients, weights, signals, penalty = gradients_and_signals(model, batches, step)
    norm = tf.linalg.global_norm(gradients)

    def losses_after() -> tf.Tensor:
        losses = [_forward(model, batches, index, step).loss for index in range(len(model.tasks))]
        return tf.stack(mean_of(losses))

    return finish_step(model, gradients, norm, signals, weights, penalty, heads_to_move(model, weights), losses_after)


def task_gram(model: "MultiTaskModel", batches: Batches) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the losses [K] and the Gram matrix [K, K] of their gradients on this replica's rows; changes nothing.

    Dropout is on, its masks those of the last step.
    """
    step = tf.maximum(model.optimizer.iterations - 1, 0)
    variables, losses, found = model.gram_variables(), [], []
    for index in range(len(model.tasks)):
        with tf.GradientTape() as tape:
            told = _forward(model, batches, index, step)
        losses.append(told.loss)
        found.append(grads.dense(grads.zeros_for_none(tape.gradient(told.objective, variables), variables)))
    return tf.stack(losses), grads.gram_matrix(found)


def _forward(model: "MultiTaskModel", batches: Batches, index: int, step: tf.Tensor) -> Forward:
    """Computes one task's loss; every task of a step has dropout masks of its own, the same when repeated."""
    model.encoder.clock.time.assign(step * len(model.tasks) + index)
    return forward(model, batches[model.tasks[index].name], tf.constant(index))


def _signals(forwards: list[Forward], step: tf.Tensor, gram: tf.Tensor | None = None) -> Signals:
    losses, accuracies = (tf.stack(mean_of([tf.stop_gradient(each[part]) for each in forwards])) for part in (0, 1))
    return Signals(losses, tf.ones_like(losses, tf.bool), step, accuracies, gram)


def _from_scalars(model: "MultiTaskModel", batches: Batches, step: tf.Tensor) -> Found:
    """Goes backward once, from the weighted sum."""
    with tf.GradientTape(persistent=True) as tape:
        forwards = [_forward(model, batches, index, step) for index in range(len(model.tasks))]
        signals = _signals(forwards, step)
        weights = tf.stop_gradient(model.weighting.weights(signals))
        objectives = _objectives(forwards, weights)
    return _whole_gradients(model, batches, step, weights, tape, objectives), weights, signals, _penalty(forwards)


def _penalty(forwards: list[Forward]) -> tf.Tensor:
    return tf.add_n([part.penalty for part in forwards])


def _objectives(forwards: list[Forward], weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted and the plain sum of the losses, both with the penalties."""
    losses = tf.stack([part.objective for part in forwards])
    penalty = _penalty(forwards)
    return tf.reduce_sum(weights * losses) + penalty, tf.reduce_sum(losses) + penalty


def _from_gram(model: "MultiTaskModel", batches: Batches, step: tf.Tensor) -> Found:
    """Goes backward from every task's loss, and from its penalty, which has no part in the Gram matrix."""
    if model.options.gram_variables != "all":
        return _from_partial_gram(model, batches, step)
    variables, forwards, found, of_penalties = model.trainable_variables, [], [], []
    for index in range(len(model.tasks)):
        told, terms = _task_gradients(model, batches, index, step)
        terms = with_attack(model, terms, lambda index=index: _task_gradients(model, batches, index, step)[1])
        gradients, penalty_gradients = terms
        forwards.append(told)
        found.append(mean_of(grads.dense_where_any(gradients)))
        of_penalties.append(penalty_gradients)
    read = sorted(grads.positions_of(model.gram_variables(), variables))
    gram = grads.gram_matrix([_filled(task, variables, read) for task in found])
    signals = _signals(forwards, step, gram)
    weights = model.weighting.weights(signals)
    shared = grads.positions_of(model.shared_variables, variables)
    combined = []
    for place, variable in enumerate(variables):
        own = [task for task in range(len(found)) if found[task][place] is not None]
        if not own:  # nothing reaches it, or penalties alone
            combined.append(tf.zeros_like(variable))
            continue
        factors = tf.gather(weights, own) if place in shared or model.options.scale_heads else tf.ones(len(own))
        combined.append(grads.weighted_sum(factors, [found[task][place] for task in own]))
    for penalty_gradients in of_penalties:
        combined = grads.added(combined, penalty_gradients)
    return combined, weights, signals, _penalty(forwards)


def _task_gradients(
    model: "MultiTaskModel", batches: Batches, index: int, step: tf.Tensor
) -> tuple[Forward, list[Gradients]]:
    """Returns what a task's batch came to, and the gradients of its loss and of its penalty."""
    variables, has_penalty = model.trainable_variables, model.sharing.has_penalty
    with tf.GradientTape(persistent=has_penalty) as tape:
        told = _forward(model, batches, index, step)
    gradients = tape.gradient(told.objective, variables)
    return told, [gradients, tape.gradient(told.penalty, variables) if has_penalty else [None] * len(variables)]


def _filled(gradients: list[tf.Tensor | None], variables: list[tf.Variable], places: list[int]) -> list[tf.Tensor]:
    return grads.zeros_for_none([gradients[place] for place in places], [variables[place] for place in places])


def _from_partial_gram(model: "MultiTaskModel", batches: Batches, step: tf.Tensor) -> Found:
    read = model.gram_variables()
    with tf.GradientTape(persistent=True) as tape:
        forwards = [_forward(model, batches, index, step) for index in range(len(model.tasks))]
        with tape.stop_recording():
            found = [grads.zeros_for_none(tape.gradient(part.objective, read), read) for part in forwards]
            signals = _signals(forwards, step, grads.gram_matrix([mean_of(grads.dense(part)) for part in found]))
            weights = model.weighting.weights(signals)
        objectives = _objectives(forwards, weights)
    return _whole_gradients(model, batches, step, weights, tape, objectives), weights, signals, _penalty(forwards)


def _whole_gradients(
    model: "MultiTaskModel",
    batches: Batches,
    step: tf.Tensor,
    weights: tf.Tensor,
    tape: tf.GradientTape,
    objectives: tuple[tf.Tensor, tf.Tensor],
) -> list[tf.Tensor]:
    """Returns the weighted sum's gradients, the attack's with them, dense and of all replicas."""

    def again() -> Gradients:
        with tf.GradientTape(persistent=True) as tape:
            forwards = [_forward(model, batches, index, step) for index in range(len(model.tasks))]
            objectives = _objectives(forwards, weights)
        return weighted_gradients(model, tape, *objectives)

    [gradients] = with_attack(model, [weighted_gradients(model, tape, *objectives)], lambda: [again()])
    return mean_of(grads.dense(grads.zeros_for_none(gradients, model.trainable_variables)))
