"""The forward pass of a train step: one task's loss on its batch."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from easytransfer_mtl.models.rdrop import twice

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel


class Forward(NamedTuple):
    """What a batch came to, float32 [] each.

    Attributes:
        loss: the task's, unweighted, as logs and weightings see it.
        accuracy: see ``MultiTaskModel.accuracy_of``.
        penalty: what the sharing adds to the weighted loss.
        objective: what the task's weight multiplies: the loss, and R-Drop's term where it is on.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    penalty: tf.Tensor
    objective: tf.Tensor


def forward(model: "MultiTaskModel", batch: "Features", task_id: tf.Tensor) -> Forward:
    """Computes a task's loss, dropout on; of a model whose tasks compute apart, no more than this task needs.

    Args:
        model: the model.
        batch: features and label_ids (int32 [B]).
        task_id: int32 [], the batch's task, which may be known only in the running graph.
    """
    if model.options.rdrop_alpha:
        batch = twice(batch)
    if model.options.token_dropout:
        batch = model.options.token_dropout.applied(batch, task_id, model.encoder.clock)
    if not model.computes_apart:
        return _told(model, model.build_logits(batch, training=True), batch, task_id, tf.constant(0.0))
    with model.sharing.one_trunk(batch, model.reads, training=True):
        known = tf.get_static_value(task_id)
        if known is not None:
            return _apart(model, batch, int(known))
        return tf.switch_case(task_id, [lambda task=task: _apart(model, batch, task) for task in range(len(model.tasks))])


def _apart(model: "MultiTaskModel", batch: "Features", task: int) -> Forward:
    logits, penalty = model.task_logits(batch, task, training=True)
    return _told(model, {model.tasks[task].logits_name: logits}, batch, tf.constant(task), penalty)


def _told(
    model: "MultiTaskModel", logits: dict[str, tf.Tensor], batch: "Features", task_id: tf.Tensor, penalty: tf.Tensor
) -> Forward:
    label_ids = batch["label_ids"]
    loss = objective = model.build_loss(logits, label_ids, task_id)
    if model.options.rdrop_alpha:
        objective += model.options.rdrop_alpha / 4.0 * model.disagreement_of(logits, task_id)
    return Forward(loss, model.accuracy_of(logits, label_ids, task_id), penalty, objective)
