"""Part dropout: whole parts go, never all of a row's, and only in training."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.features import PartDropout

ROWS, WIDTHS = 4000, [3, 1, 2]


def kept(rate: float, time: int = 0, shape: tuple[int, ...] = (ROWS, sum(WIDTHS))) -> np.ndarray:
    clock = DropoutClock(1)
    clock.time.assign(time)
    layer = PartDropout(WIDTHS, rate, "tnews", clock)
    return tf.function(lambda value: layer(value, training=True))(tf.fill(shape, 2.0)).numpy() / 2.0


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_parts_go_whole_and_by_their_rate_but_never_all(rate: float) -> None:
    values = kept(rate)
    assert set(np.unique(values)) == {0.0, 1.0}
    parts = values[:, [0, 3, 4]]
    np.testing.assert_array_equal(values, np.repeat(parts, WIDTHS, axis=1))
    assert parts.any(axis=1).all()
    # a part is left out with the rate, unless all are
    expected = rate - rate**3
    assert abs((1 - parts).mean(axis=0) - expected).max() < 4 * np.sqrt(expected * (1 - expected) / ROWS)
    both = ((1 - parts[:, 0]) * (1 - parts[:, 1])).mean()
    assert abs(both - rate**2 * (1 - rate)) < 0.04


def test_masks_follow_the_time() -> None:
    np.testing.assert_array_equal(kept(0.5, 3), kept(0.5, 3))
    assert 0.1 < (kept(0.5, 3) != kept(0.5, 4)).mean() < 0.9


def test_states_of_a_row_lose_the_same_parts() -> None:
    values = kept(0.5, shape=(50, 7, 6))
    np.testing.assert_array_equal(values, np.repeat(values[:, :1], 7, axis=1))
    assert 0 < values.mean() < 1


def test_nothing_goes_outside_training_or_at_rate_0() -> None:
    value = tf.ones([5, 6])
    for rate, training in ((0.5, False), (0.0, True)):
        assert PartDropout(WIDTHS, rate, "tnews", DropoutClock(1))(value, training=training) is value
