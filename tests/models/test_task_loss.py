"""A task's loss: plain, with weights of labels, smoothed, focal."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.models.task_loss import TaskLoss, label_weights

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 1.0, 4.0], [5.0, 0.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 2, 1], np.int32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def loss(logits: np.ndarray = LOGITS, **options: Any) -> float:
    return float(TaskLoss(3, **options)(tf.constant(logits), tf.constant(LABELS)))


def cross_entropy() -> np.ndarray:
    return -np.log(PROBABILITIES[np.arange(4), LABELS])


def test_plain_weighted_and_focal() -> None:
    weights = (0.5, 1.0, 2.0)
    focal = (1 - PROBABILITIES[np.arange(4), LABELS]) ** 2
    assert loss() == pytest.approx(cross_entropy().mean(), rel=1e-6)
    assert loss(label_weights=weights) == pytest.approx((cross_entropy() * np.take(weights, LABELS)).mean(), rel=1e-6)
    assert loss(focal_gamma=2.0) == pytest.approx((cross_entropy() * focal).mean(), rel=1e-5)


def test_smoothing_spreads_a_share_over_all_labels() -> None:
    target = 0.9 * np.eye(3)[LABELS] + 0.1 / 3
    assert loss(label_smoothing=0.1) == pytest.approx(-(target * np.log(PROBABILITIES)).sum(axis=1).mean(), rel=1e-6)


def test_plain_is_what_has_none_of_the_three() -> None:
    assert TaskLoss(3).is_plain and TaskLoss(3, label_smoothing=0.0, focal_gamma=0.0).is_plain
    for options in ({"label_weights": (1.0, 1.0, 1.0)}, {"label_smoothing": 0.1}, {"focal_gamma": 2.0}):
        assert not TaskLoss(3, **options).is_plain


def test_focal_loss_has_a_gradient_where_the_row_is_right_beyond_doubt() -> None:
    logits = tf.Variable([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        value = TaskLoss(3, focal_gamma=0.5)(logits, tf.constant([0, 0]))
    assert np.isfinite(tape.gradient(value, logits).numpy()).all()


@pytest.mark.parametrize("kind", ["inverse", "log", "effective"])
def test_label_weights_are_larger_for_rarer_labels_and_one_in_the_mean(kind: str) -> None:
    counts = np.array([5000, 200, 1000, 0])
    weights = np.array(label_weights(counts, kind))
    assert weights[3] >= weights[1] > weights[2] > weights[0] > 0
    assert (weights * np.maximum(counts, 1)).sum() / np.maximum(counts, 1).sum() == pytest.approx(1)
    np.testing.assert_allclose(label_weights(np.array([7, 7, 7]), kind), 1)


def test_label_weights_are_the_papers() -> None:
    counts = np.array([300, 100])
    np.testing.assert_allclose(np.divide(*label_weights(counts, "inverse")), 1 / 3)
    np.testing.assert_allclose(np.divide(*label_weights(counts, "log")), np.log(1.27) / np.log(1.77))
    np.testing.assert_allclose(np.divide(*label_weights(counts, "effective")), (1 - 0.999**100) / (1 - 0.999**300))


@pytest.mark.parametrize(
    "options",
    [{}, {"focal_gamma": 1.5}, {"label_weights": (0.5, 1.0, 2.0)}, {"label_smoothing": 0.2}],
)
def test_several_looks_at_the_rows_are_the_mean_of_their_losses(options: dict[str, Any]) -> None:
    looks = [LOGITS, LOGITS[::-1] * 0.5, -LOGITS]
    each = [loss(look, **options) for look in looks]
    assert loss(np.stack(looks), **options) == pytest.approx(np.mean(each), rel=1e-5)
