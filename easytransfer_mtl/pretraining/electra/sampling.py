"""Tokens drawn from a softmax over the vocabulary, one uniform number a token."""

import tensorflow as tf


def sampled_tokens(scores: tf.Tensor, bias: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Draws from softmax(scores + bias) by inverting its cumulative sums; no gradient goes through.

    Args:
        scores: [P, V], float32 or bfloat16; sums are float32.
        bias: float32 [V].
        draws: float32 [P], from 0 to below 1; the same draws and scores give the same tokens.

    Returns:
        int32 [P].
    """
    sums = tf.cumsum(_exponentials(tf.stop_gradient(scores), tf.stop_gradient(bias)), axis=-1)
    return tf.minimum(_first_above(sums, draws), tf.shape(bias)[0] - 1)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _exponentials(scores: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    values = tf.cast(scores, tf.float32) + bias
    return tf.exp(values - tf.reduce_max(values, axis=-1, keepdims=True))


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _first_above(sums: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Returns how many of each row's sums are not above the draw's share of the last."""
    return tf.reduce_sum(tf.cast(sums <= (draws * sums[:, -1])[:, tf.newaxis], tf.int32), axis=-1)
