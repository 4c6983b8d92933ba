"""Each fused chain equals its formula, and its hand-written gradient what automatic differentiation makes of the formula."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.fused.attention import attention_probabilities
from easytransfer_mtl.encoders.fused.dropout import drop, dropout
from easytransfer_mtl.encoders.fused.gelu import CUBIC, SCALE, bias_gelu
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm
from easytransfer_mtl.encoders.fused.masks import mask_keys

Chain = Callable[..., tf.Tensor]
KEYS = mask_keys(tf.constant([3, 4], tf.int64))
NORM = (KEYS, 0.3, 1e-12)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape), tf.float32)


def mask_of(lengths: list[int], size: int) -> tf.Tensor:
    return tf.constant([[[[0.0] * length + [-10000.0] * (size - length)]] for length in lengths])[:, 0]


def tanh_gelu(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    x = tf.cast(x + bias, tf.float64)  # the sum cancels where tanh is close to -1
    return 0.5 * x * (1.0 + tf.tanh(SCALE * (x + CUBIC * x**3)))


def exact_gelu(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return 0.5 * (x + bias) * (1.0 + tf.math.erf((x + bias) / math.sqrt(2.0)))


def layer_norm(x: tf.Tensor, bias: tf.Tensor, residual: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, keys: tf.Tensor | None,
               rate: float, epsilon: float) -> tf.Tensor:  # fmt: skip
    x = (x + bias) * drop(tf.ones_like(x), keys, rate) + residual
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + epsilon) * gamma + beta


def softmax(scores: tf.Tensor, mask: tf.Tensor, keys: tf.Tensor | None, rate: float, scale: float) -> tf.Tensor:
    return tf.nn.softmax(scores * scale + mask) * drop(tf.ones_like(scores), keys, rate)


GELU_INPUTS = [tf.constant(np.linspace(-12, 12, 600).reshape(100, 6), tf.float32), normal(6)]
NORM_INPUTS = [normal(7, 24), normal(24, seed=1), normal(7, 24, seed=2), normal(24, seed=3), normal(24, seed=4)]
SCORES = [normal(3, 2, 5, 5) * 4.0]
MASK = mask_of([5, 3, 1], 5)[:, tf.newaxis]
CASES = {
    "tanh gelu": (lambda *x: bias_gelu(*x, approximate=True), tanh_gelu, GELU_INPUTS),
    "exact gelu": (lambda *x: bias_gelu(*x, approximate=False), exact_gelu, GELU_INPUTS),
    "norm": (lambda *x: dropout_add_norm(*x, None, 0.3, 1e-12), lambda *x: layer_norm(*x, None, 0.3, 1e-12), NORM_INPUTS),
    "norm, dropout": (lambda *x: dropout_add_norm(*x, *NORM), lambda *x: layer_norm(*x, *NORM), NORM_INPUTS),
    "norm, rate 0": (
        lambda *x: dropout_add_norm(*x, KEYS, 0.0, 0.1), lambda *x: layer_norm(*x, None, 0.0, 0.1), NORM_INPUTS),
    "attention": (
        lambda x: attention_probabilities(x, MASK, None, 0.2, 0.5), lambda x: softmax(x, MASK, None, 0.2, 0.5), SCORES),
    "attention, dropout": (
        lambda x: attention_probabilities(x, MASK, KEYS, 0.2, 0.5), lambda x: softmax(x, MASK, KEYS, 0.2, 0.5), SCORES),
    "dropout": (lambda x: dropout(x, KEYS, 0.4), lambda x: x * drop(tf.ones_like(x), KEYS, 0.4), [normal(30, 20)]),
}  # fmt: skip


def values_and_gradients(chain: Chain, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = chain(*inputs)
    upstream = tf.cast(normal(*values.shape, seed=9), values.dtype)
    return [values, *tape.gradient(values, inputs, output_gradients=upstream)]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_formula(name: str, traced: bool) -> None:
    chain, formula, inputs = CASES[name]
    run = tf.function(lambda *x: values_and_gradients(chain, list(x))) if traced else None
    found = run(*inputs) if run else values_and_gradients(chain, inputs)
    for one, other in zip(found, values_and_gradients(formula, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_comes_out_as_bfloat16_and_rounds_only_what_comes_in_and_goes_out(name: str) -> None:
    chain, _, inputs = CASES[name]
    halves = [tf.cast(x, tf.bfloat16) if len(x.shape) > 1 else x for x in inputs]  # biases and LayerNorm's stay float32
    found = values_and_gradients(chain, halves)
    expected = values_and_gradients(chain, [tf.cast(x, tf.float32) for x in halves])
    assert [x.dtype for x in found] == [halves[0].dtype, *(x.dtype for x in halves)]
    for one, other in zip(found, expected, strict=True):
        # Half a unit in the last of 8 places; upstream gradients are rounded too, and sums over them add up.
        np.testing.assert_allclose(tf.cast(one, tf.float32), other, rtol=2**-7, atol=0.05)
    np.testing.assert_allclose(tf.cast(found[0], tf.float32), expected[0], rtol=2**-8, atol=1e-6)


def test_padding_gets_no_probability_and_no_gradient() -> None:
    values, gradient = values_and_gradients(lambda x: attention_probabilities(x, MASK, None, 0.0, 0.5), SCORES)
    padding = np.broadcast_to(MASK < 0, values.shape)
    assert padding.any() and not values.numpy()[padding].any() and not gradient.numpy()[padding].any()
    np.testing.assert_allclose(tf.reduce_sum(values, -1), 1.0, rtol=1e-6)


def test_a_row_of_equal_values_has_a_finite_norm_and_gradient() -> None:
    inputs = [tf.ones((2, 8)), tf.zeros(8), tf.zeros((2, 8)), tf.ones(8), tf.zeros(8)]
    found = values_and_gradients(lambda *x: dropout_add_norm(*x, None, 0.0, 1e-12), inputs)
    assert all(np.isfinite(x).all() for x in found)
    np.testing.assert_array_equal(found[0], tf.zeros((2, 8)))
