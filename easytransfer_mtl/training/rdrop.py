"""R-Drop: penalizes differences between two passes of each row with different dropout masks."""

import tensorflow as tf

from easytransfer_mtl.models.task_loss import TaskLoss


def twice(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the batch concatenated with itself along the rows.

    Dropout masks depend on a value's position, so that the two halves have different masks.

    Args:
        batch: tensors with B rows, and scalars, which stay unchanged.
    """
    return {name: value if value.shape.rank == 0 else tf.concat([value, value], axis=0) for name, value in batch.items()}


def disagreement(logits: tf.Tensor, loss: TaskLoss, label_ids: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the mean over the rows (or their tags) of KL(p || q) + KL(q || p), float32 [].

    Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021. Their loss of a row is
    -ln p - ln q + alpha/2 (KL(p || q) + KL(q || p)), p and q the outputs of the two passes (equations 1 to 3). Half of this
    loss is the mean of the two cross entropies plus alpha/4 times this function's value; with it, losses with and without
    R-Drop have the same scale, and alpha is the paper's.

    Args:
        logits: of a batch made by ``twice``, [2B, C], or [M, 2B, C] for multi-sample dropout; of tags with S
            before C.
        loss: the task's, which knows what the logits are of.
        label_ids: of the same batch; only tags need them.
    """
    first, second = tf.split(tf.cast(logits, tf.float32), 2, axis=loss.row_axis)
    of_first = None if label_ids is None else label_ids[: tf.shape(label_ids)[0] // 2]
    return loss.mean_disagreement(first, second, of_first)
