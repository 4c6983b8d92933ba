"""Masked mean and masked softmax, which ignore padding."""

import tensorflow as tf


def masked_mean(states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the marked tokens [B, H]; zeros for rows without a marked token.

    Args:
        states: [B, S, H].
        mask: int32 [B, S], 1 where marked.
    """
    marks = tf.cast(mask, states.dtype)
    total = tf.squeeze(tf.matmul(marks[:, tf.newaxis], states), axis=1)
    return total / tf.maximum(tf.reduce_sum(marks, axis=1, keepdims=True), 1.0)


def masked_softmax(scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the softmax over the last axis, exactly 0 where the mask is 0; at least one position must be marked.

    Args:
        scores: any shape.
        mask: int32, broadcast to the shape of ``scores``.
    """
    return tf.nn.softmax(tf.where(mask > 0, scores, float("-inf")))
