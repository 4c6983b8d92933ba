"""Masks look like independent draws: at one place over many keys, between places, between keys."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.fused.masks import keep_mask, mask_keys

mask = tf.function(lambda rows, columns, keys, rate: keep_mask(tf.stack([rows, columns]), keys, rate), jit_compile=True)


def kept(rows: int, columns: int, seed: tuple[int, int], rate: float = 0.5) -> np.ndarray:
    return mask(rows, columns, mask_keys(tf.constant(seed, tf.int64)), rate).numpy()


def share_is(share: float, expected: float, count: int) -> bool:
    """Whether a share of ``count`` independent draws is within five standard deviations."""
    return abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_share_of_dropped_values(rate: float) -> None:
    values = kept(4000, 768, (1, 2), rate)
    assert share_is((~values).mean(), rate, values.size)
    # Rows and columns are no worse: sums over either are binomial.
    for axis in (0, 1):
        counts = (~values).sum(axis)
        size = values.shape[axis]
        assert 0.8 < counts.var() / (size * rate * (1 - rate)) < 1.25


@pytest.mark.parametrize("distance", [1, 2, 3, 7, 16, 64, 767, 768, 769, 65536])
def test_values_at_a_distance_are_independent(distance: int) -> None:
    flat = kept(4000, 768, (5, 6)).ravel()
    assert share_is((flat[distance:] == flat[:-distance]).mean(), 0.5, flat.size - distance)


def test_patterns_of_eight_neighbours_are_equally_frequent() -> None:
    bits = kept(4096, 512, (7, 8)).reshape(-1, 8)
    counts = np.bincount(bits @ (1 << np.arange(8)), minlength=256)
    expected = len(bits) / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


def test_one_place_over_many_steps_is_random_and_steps_are_independent() -> None:
    steps = np.stack([kept(4, 64, (11, time)).ravel() for time in range(1000)])
    assert all(share_is(share, 0.5, 1000) for share in steps.mean(axis=0))
    assert share_is((steps[1:] == steps[:-1]).mean(), 0.5, steps[1:].size)
    # Shifted copies of one sequence would agree fully at some distance.
    first, second = kept(500, 768, (11, 0)).ravel(), kept(500, 768, (11, 1)).ravel()
    agreement = [np.mean(first[shift:] == second[: len(second) - shift]) for shift in range(200)]
    assert max(abs(np.array(agreement) - 0.5)) < 6 * np.sqrt(0.25 / (len(first) - 200))


def test_a_mask_does_not_depend_on_its_shape_only_on_the_place() -> None:
    np.testing.assert_array_equal(kept(6, 20, (1, 1)).ravel(), kept(12, 10, (1, 1)).ravel())
