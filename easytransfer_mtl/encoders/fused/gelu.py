"""Bias addition and GELU."""

import math
from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import compiled

SCALE, CUBIC = math.sqrt(2.0 / math.pi), 0.044715

Gradients = tuple[tf.Tensor, tf.Tensor]


def bias_gelu(inputs: tf.Tensor, bias: tf.Tensor, approximate: bool) -> tf.Tensor:
    """Returns GELU(inputs + bias).

    Args:
        inputs: [T, I], float32, bfloat16 or float16; the result has the same type.
        bias: float32 [I].
        approximate: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) instead of x Phi(x).
    """
    return _tanh_form(inputs, bias) if approximate else _erf_form(inputs, bias)


@tf.custom_gradient
def _tanh_form(inputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], Gradients]]:
    return _tanh_forward(inputs, bias), lambda upstream: _tanh_backward(inputs, bias, upstream)


@tf.custom_gradient
def _erf_form(inputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], Gradients]]:
    return _erf_forward(inputs, bias), lambda upstream: _erf_backward(inputs, bias, upstream)


@compiled
def _tanh_forward(inputs: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32) + bias
    return tf.cast(x * _half_tanh(x), inputs.dtype)


@compiled
def _tanh_backward(inputs: tf.Tensor, bias: tf.Tensor, upstream: tf.Tensor) -> Gradients:
    x = tf.cast(inputs, tf.float32) + bias
    half = _half_tanh(x)
    slope = 2.0 * SCALE * (1.0 + 3.0 * CUBIC * tf.square(x))
    return _results(half + x * half * (1.0 - half) * slope, upstream)


def _half_tanh(x: tf.Tensor) -> tf.Tensor:
    """Returns (1 + tanh(u)) / 2 as the logistic function of 2u, which stays precise where tanh(u) is close to -1."""
    return tf.sigmoid(2.0 * SCALE * x * (1.0 + CUBIC * tf.square(x)))


@compiled
def _erf_forward(inputs: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    x = tf.cast(inputs, tf.float32) + bias
    return tf.cast(0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0))), inputs.dtype)


@compiled
def _erf_backward(inputs: tf.Tensor, bias: tf.Tensor, upstream: tf.Tensor) -> Gradients:
    x = tf.cast(inputs, tf.float32) + bias
    density = tf.exp(-0.5 * tf.square(x)) / math.sqrt(2.0 * math.pi)
    return _results(0.5 * (1.0 + tf.math.erf(x / math.sqrt(2.0))) + x * density, upstream)


def _results(slope: tf.Tensor, upstream: tf.Tensor) -> Gradients:
    gradient = slope * tf.cast(upstream, tf.float32)
    return tf.cast(gradient, upstream.dtype), tf.reduce_sum(gradient, axis=0)
