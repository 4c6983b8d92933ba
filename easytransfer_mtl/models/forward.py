"""The forward pass of a train step: one task's loss on its batch."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel


class Forward(NamedTuple):
    """What a batch came to, float32 [] each.

    Attributes:
        loss: the task's, unweighted.
        accuracy: see ``MultiTaskModel.accuracy_of``.
        penalty: what the sharing adds to the weighted loss.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    penalty: tf.Tensor


def forward(model: "MultiTaskModel", batch: "Features", task_id: tf.Tensor) -> Forward:
    """Computes a task's loss, dropout on; of a model whose tasks compute apart, no more than this task needs.

    Args:
        model: the model.
        batch: features and label_ids (int32 [B]).
        task_id: int32 [], the batch's task, which may be known only in the running graph.
    """
    if not model.computes_apart:
        return _told(model, model.build_logits(batch, training=True), batch, task_id, tf.constant(0.0))
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
    loss = model.build_loss(logits, label_ids, task_id)
    return Forward(loss, model.accuracy_of(logits, label_ids, task_id), penalty)
