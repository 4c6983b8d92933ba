"""Bias addition, dropout, residual connection and LayerNorm."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.dropout import drop
from easytransfer_mtl.encoders.fused.graphs import compiled

Gradients = tuple[tf.Tensor | None, ...]


def dropout_add_norm(
    inputs: tf.Tensor,
    bias: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    keys: tf.Tensor | None,
    rate: float,
    epsilon: float,
) -> tf.Tensor:
    """Returns LayerNorm(dropout(inputs + bias) + residual).

    Args:
        inputs: [T, H], float32, bfloat16 or float16; the result has the same type.
        bias: float32 [H].
        residual: [T, H], the type of ``inputs``.
        gamma: float32 [H], LayerNorm's scale.
        beta: float32 [H], LayerNorm's shift.
        keys: uint32 [3], from ``mask_keys``; None for no dropout.
        rate: the dropout rate.
        epsilon: added to the variance.
    """

    @tf.custom_gradient
    def normalize(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], Gradients]]:
        return _forward(*tensors, keys, rate, epsilon), lambda upstream: _backward(*tensors, keys, upstream, rate, epsilon)

    return normalize(inputs, bias, residual, gamma, beta)


@compiled
def _forward(
    inputs: tf.Tensor,
    bias: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    keys: tf.Tensor | None,
    rate: float,
    epsilon: float,
) -> tf.Tensor:
    normalized, _ = _normalized(inputs, bias, residual, keys, rate, epsilon)
    return tf.cast(normalized * gamma + beta, inputs.dtype)


@compiled
def _backward(
    inputs: tf.Tensor,
    bias: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    keys: tf.Tensor | None,
    upstream: tf.Tensor,
    rate: float,
    epsilon: float,
) -> Gradients:
    del beta
    normalized, inverse_deviation = _normalized(inputs, bias, residual, keys, rate, epsilon)
    upstream = tf.cast(upstream, tf.float32)
    scaled = upstream * gamma
    centred = scaled - tf.reduce_mean(scaled, axis=-1, keepdims=True)
    slope = tf.reduce_mean(scaled * normalized, axis=-1, keepdims=True)
    d_sum = inverse_deviation * (centred - normalized * slope)
    d_inputs = drop(d_sum, keys, rate)
    return (
        tf.cast(d_inputs, inputs.dtype),
        tf.reduce_sum(d_inputs, axis=0),
        tf.cast(d_sum, residual.dtype),
        tf.reduce_sum(upstream * normalized, axis=0),
        tf.reduce_sum(upstream, axis=0),
    )


def _normalized(
    inputs: tf.Tensor, bias: tf.Tensor, residual: tf.Tensor, keys: tf.Tensor | None, rate: float, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sum normalized to mean 0 and variance 1 [T, H], and 1 / (its standard deviation) [T, 1]."""
    values = drop(tf.cast(inputs, tf.float32) + bias, keys, rate) + tf.cast(residual, tf.float32)
    values -= tf.reduce_mean(values, axis=-1, keepdims=True)
    inverse_deviation = tf.math.rsqrt(tf.reduce_mean(tf.square(values), axis=-1, keepdims=True) + epsilon)
    return values * inverse_deviation, inverse_deviation
