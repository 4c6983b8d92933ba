"""R-Drop: two passes of each row under different dropout masks should agree."""

import tensorflow as tf


def twice(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a batch in which every row is there twice, the second time in the same order behind all others.

    Dropout masks are functions of a value's position, so the two halves have masks of their own.

    Args:
        batch: tensors of B rows, and scalars, which stay.
    """
    return {name: value if value.shape.rank == 0 else tf.concat([value, value], axis=0) for name, value in batch.items()}


def disagreement(logits: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the rows of KL(p || q) + KL(q || p), float32 [].

    Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021. Their loss of a row is
    -ln p - ln q + alpha/2 (KL(p || q) + KL(q || p)), p and q the outputs of the two passes (equations 1 to 3). Half of it is
    the mean of the two cross entropies and alpha/4 times this value, so that a loss without and one with R-Drop are of
    one size and alpha is the paper's.

    Args:
        logits: [2B, C], what ``twice`` gave; of multi-sample dropout [M, 2B, C].
    """
    p, q = tf.split(tf.nn.log_softmax(tf.cast(logits, tf.float32)), 2, axis=-2)
    return tf.reduce_mean(tf.reduce_sum((tf.exp(p) - tf.exp(q)) * (p - q), axis=-1))
