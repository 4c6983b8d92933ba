"""Attention probabilities: scale, mask, softmax and dropout."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.dropout import drop
from easytransfer_mtl.encoders.fused.graphs import compiled


def attention_probabilities(
    scores: tf.Tensor, mask: tf.Tensor, keys: tf.Tensor | None, rate: float, scale: float
) -> tf.Tensor:
    """Returns dropout(softmax(scores * scale + mask)).

    Args:
        scores: [B, A, Q, S], float32, bfloat16 or float16; the result has the same type.
        mask: float32 [B, 1, 1, S], 0 for a token and a large negative number for padding.
        keys: uint32 [3], from ``mask_keys``; None for no dropout.
        rate: the dropout rate.
        scale: 1 / sqrt(width of a head).
    """

    @tf.custom_gradient
    def probabilities(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        result = _forward(values, mask, keys, rate, scale)
        return result, lambda upstream: _backward(values, mask, keys, upstream, rate, scale)

    return probabilities(scores)


@compiled
def _forward(scores: tf.Tensor, mask: tf.Tensor, keys: tf.Tensor | None, rate: float, scale: float) -> tf.Tensor:
    return tf.cast(drop(_softmax(scores, mask, scale), keys, rate), scores.dtype)


@compiled
def _backward(
    scores: tf.Tensor, mask: tf.Tensor, keys: tf.Tensor | None, upstream: tf.Tensor, rate: float, scale: float
) -> tf.Tensor:
    values = _softmax(scores, mask, scale)
    weighted = values * drop(tf.cast(upstream, tf.float32), keys, rate)
    return tf.cast(scale * (weighted - values * tf.reduce_sum(weighted, axis=-1, keepdims=True)), scores.dtype)


def _softmax(scores: tf.Tensor, mask: tf.Tensor, scale: float) -> tf.Tensor:
    return tf.nn.softmax(tf.cast(scores, tf.float32) * scale + mask)
