"""Means of sums: losses, accuracies and F1 as computed by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from easytransfer_mtl.pretraining.electra.measurement import ReplacedTokenMeasurement, Sums


def measured(sums: Sums, weight: float = 50.0) -> ReplacedTokenMeasurement:
    return ReplacedTokenMeasurement(**{name: float(value) for name, value in sums.means(weight).items()})


def test_means_are_of_places_and_of_tokens() -> None:
    random = np.random.default_rng(1)
    true, told = random.random(200) < 0.2, random.random(200) < 0.3
    counts = [float((true == told).sum()), 200.0, float((true & told).sum()), float(told.sum()), float(true.sum())]
    found = measured(Sums(6.0, 1.0, 4.0, 20.0, *counts))
    assert (found.mlm_loss, found.accuracy, found.rtd_loss) == pytest.approx((1.5, 0.25, 0.1))
    assert found.loss == pytest.approx(1.5 + 50 * 0.1) and found.perplexity == pytest.approx(np.exp(1.5))
    assert found.rtd_accuracy == pytest.approx(accuracy_score(true, told))
    assert found.rtd_f1 == pytest.approx(f1_score(true, told)) and found.rtd_share == pytest.approx(true.mean())


def test_nothing_to_measure_is_zero() -> None:
    found = measured(Sums(*[0.0] * 9))
    assert found.values == [0.0] * 7 and found.perplexity == 1.0


def test_every_column_has_a_value() -> None:
    found = measured(Sums(6.0, 1.0, 4.0, 20.0, 150.0, 200.0, 10.0, 30.0, 40.0))
    assert set(found.row()) == set(found.columns)
    assert set(found.report()) == {"masked_accuracy" if name == "accuracy" else name for name in found.columns}
