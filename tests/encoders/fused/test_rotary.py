"""Rotation by position: what makes it a position embedding, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.fused.rotary import position_table, rotate


def random(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_table_is_sines_then_cosines() -> None:
    table = position_table(5, 4)
    assert table.shape == (5, 4) and table.dtype == np.float32
    np.testing.assert_array_equal(table[0], [0, 0, 1, 1])
    np.testing.assert_allclose(table[3], [np.sin(3), np.sin(0.03), np.cos(3), np.cos(0.03)], rtol=1e-6)


@pytest.mark.parametrize("width", [2, 4, 6])
def test_scores_depend_on_the_distance_only_and_lengths_stay(width: int) -> None:
    table = position_table(12, width)
    query, key = (tf.tile(random((1, 2, 1, width), seed), [1, 1, 12, 1]) for seed in (1, 2))
    turned, other = rotate(query, table), rotate(key, table)
    np.testing.assert_allclose(tf.norm(turned, axis=-1), tf.norm(query, axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(turned[:, :, 0], query[:, :, 0])
    scores = tf.matmul(turned, other, transpose_b=True).numpy()
    np.testing.assert_allclose(scores[..., 3:, 3:], scores[..., :9, :9], atol=2e-5)
    assert np.abs(scores[..., 0, 1] - scores[..., 0, 2]).min() > 1e-4


def test_gradient_is_the_opposite_rotation() -> None:
    values, table = random((2, 2, 5, 4), 3), position_table(5, 4)
    upstream = random((2, 2, 5, 4), 4)
    with tf.GradientTape() as tape:
        tape.watch(values)
        product = tf.reduce_sum(rotate(values, table) * upstream)
    gradient = tape.gradient(product, values)
    np.testing.assert_allclose(rotate(gradient, table), upstream, atol=1e-5)


def test_bfloat16_stays_bfloat16() -> None:
    values, table = random((1, 1, 6, 8), 5), position_table(6, 8)
    rough = rotate(tf.cast(values, tf.bfloat16), table)
    assert rough.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(rough, tf.float32), rotate(values, table), atol=0.05)
