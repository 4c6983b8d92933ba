"""Expected calibration error, by hand."""

import numpy as np
import pytest

from easytransfer_mtl.reporting.calibration import Bin, calibration_of


def test_bins_and_error() -> None:
    found = calibration_of(np.array([0.95, 1.0, 0.92, 0.55, 0.51]), np.array([True, True, False, False, True]))
    low, high = found.bins
    assert low == Bin(0.5, 0.6, 2, pytest.approx(0.53), 0.5)
    assert high == Bin(0.9, 1.0, 3, pytest.approx(2.87 / 3), pytest.approx(2 / 3))
    assert found.error == pytest.approx((2 * 0.03 + 3 * (2.87 / 3 - 2 / 3)) / 5)
    assert (found.confidence, found.accuracy) == (pytest.approx(3.93 / 5), 0.6)


def test_probabilities_that_are_what_they_say_have_no_error() -> None:
    assert calibration_of(np.full(10, 0.7), np.arange(10) < 7).error == pytest.approx(0)
