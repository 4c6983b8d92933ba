"""The fused cross entropy against TensorFlow's own operations, values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.pretraining.cross_entropy import tied_cross_entropy

PLACES, WIDTH, TOKENS = 7, 5, 11


def tensors(scale: float = 1.0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    random = np.random.default_rng(1)
    shapes = ((PLACES, WIDTH), (TOKENS, WIDTH), (TOKENS,))
    states, table, bias = (tf.constant(scale * random.normal(size=shape), tf.float32) for shape in shapes)
    return states, table, bias, tf.constant(random.integers(0, TOKENS, PLACES), tf.int32)


def plain(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    scores = tf.matmul(states, table, transpose_b=True) + bias
    losses = tf.nn.softmax_cross_entropy_with_logits(tf.one_hot(labels, TOKENS), scores)
    return losses, tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32) == labels, tf.float32)


def with_gradients(function: object, scale: float = 1.0) -> list[np.ndarray]:
    states, table, bias, labels = tensors(scale)
    weights = tf.constant([1.0, 0.0, 2.0, 1.0, 0.5, 1.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([states, table, bias])
        losses, right = function(states, table, bias, labels)
        loss = tf.reduce_sum(losses * weights)
    return [value.numpy() for value in (losses, right, *tape.gradient(loss, [states, table, bias]))]


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_values_and_gradients_are_those_of_plain_operations(scale: float) -> None:
    for found, expected in zip(with_gradients(tied_cross_entropy, scale), with_gradients(plain, scale), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_large_scores_overflow_nothing() -> None:
    values = with_gradients(tied_cross_entropy, 1000.0)
    assert all(np.isfinite(value).all() for value in values)


def test_bfloat16_products_are_close_and_the_sums_float32() -> None:
    def in_bfloat16(states: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tied_cross_entropy(tf.cast(states, tf.bfloat16), *others)

    found, expected = with_gradients(in_bfloat16), with_gradients(plain)
    assert [value.dtype for value in found] == [np.float32] * 5
    for one, other in zip(found[:1] + found[2:], expected[:1] + expected[2:], strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05)
