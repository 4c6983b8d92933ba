"""Tokens from a softmax: the right shares, any scores, bfloat16, and no gradient."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.pretraining.electra.sampling import sampled_tokens

DRAWS = 20_000


def shares(scores: np.ndarray, bias: np.ndarray, dtype: tf.DType = tf.float32) -> np.ndarray:
    """Returns how often each token is drawn with evenly spread numbers."""
    draws = tf.constant((np.arange(DRAWS) + 0.5) / DRAWS, tf.float32)
    rows = tf.repeat(tf.constant(scores[np.newaxis], dtype), DRAWS, axis=0)
    drawn = sampled_tokens(rows, tf.constant(bias, tf.float32), draws).numpy()
    return np.bincount(drawn, minlength=len(bias)) / DRAWS


def softmax(values: np.ndarray) -> np.ndarray:
    values = np.exp(values - values.max())
    return values / values.sum()


def test_tokens_are_drawn_with_their_probabilities() -> None:
    random = np.random.default_rng(1)
    scores, bias = random.normal(0, 2, 30), random.normal(0, 1, 30)
    np.testing.assert_allclose(shares(scores, bias), softmax(scores + bias), atol=2 / DRAWS)


def test_bfloat16_scores_are_summed_in_float32() -> None:
    scores = np.zeros(1000)
    np.testing.assert_allclose(shares(scores, scores, tf.bfloat16), 1 / 1000, atol=2 / DRAWS)


def test_a_token_of_no_probability_is_never_drawn() -> None:
    scores = np.array([-1e4, 0.0, -1e4, 1e3, -1e4])
    np.testing.assert_array_equal(shares(scores, np.zeros(5)), [0, 0, 0, 1, 0])


def test_the_ends_of_the_range_are_tokens() -> None:
    scores, bias = tf.zeros((2, 7)), tf.zeros(7)
    assert sampled_tokens(scores, bias, tf.constant([0.0, np.nextafter(1, 0, dtype=np.float32)])).numpy().tolist() == [0, 6]


def test_no_gradient_goes_through() -> None:
    scores, bias = tf.Variable(tf.zeros((2, 7))), tf.Variable(tf.zeros(7))
    with tf.GradientTape() as tape:
        drawn = tf.cast(sampled_tokens(scores, bias, tf.constant([0.1, 0.9])), tf.float32)
        loss = tf.reduce_sum(drawn)
    assert tape.gradient(loss, [scores, bias]) == [None, None]
