"""A task's loss: plain, with weights of labels, smoothed, focal."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.task_losses import LossOptions, class_weights, task_loss
from easytransfer_mtl.tasks import OCNLI

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 1.0, 4.0], [5.0, 0.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 2, 1], np.int32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def loss(**options: object) -> float:
    return float(task_loss(tf.constant(LOGITS), tf.constant(LABELS), OCNLI, LossOptions(**options)))


def cross_entropy() -> np.ndarray:
    return -np.log(PROBABILITIES[np.arange(4), LABELS])


def test_plain_weighted_and_focal() -> None:
    weights = [0.5, 1.0, 2.0]
    focal = (1 - PROBABILITIES[np.arange(4), LABELS]) ** 2
    assert loss() == pytest.approx(cross_entropy().mean(), rel=1e-6)
    assert loss(class_weights={"OCNLI": weights}) == pytest.approx(
        (cross_entropy() * np.take(weights, LABELS)).mean(), rel=1e-6
    )
    others = {"class_weights": {"TNEWS": weights}, "label_smoothing": {"TNEWS": 0.1}, "focal_gamma": {"TNEWS": 2.0}}
    assert loss(**others) == loss()
    assert loss(focal_gamma={"OCNLI": 2.0}) == pytest.approx((cross_entropy() * focal).mean(), rel=1e-5)


def test_smoothing_spreads_a_share_over_all_labels() -> None:
    target = 0.9 * np.eye(3)[LABELS] + 0.1 / 3
    assert loss(label_smoothing={"OCNLI": 0.1}) == pytest.approx(
        -(target * np.log(PROBABILITIES)).sum(axis=1).mean(), rel=1e-6
    )
    with pytest.raises(UserError, match="from 0 to below 1"):
        LossOptions(label_smoothing={"OCNLI": 1.0})


def test_focal_loss_has_a_gradient_where_the_row_is_right_beyond_doubt() -> None:
    logits = tf.Variable([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        value = task_loss(logits, tf.constant([0, 0]), OCNLI, LossOptions(focal_gamma={"OCNLI": 0.5}))
    assert np.isfinite(tape.gradient(value, logits).numpy()).all()


@pytest.mark.parametrize("kind", ["inverse", "log", "effective"])
def test_class_weights_are_larger_for_rarer_labels_and_one_in_the_mean(kind: str) -> None:
    counts = np.array([5000, 200, 1000, 0])
    weights = np.array(class_weights(counts, kind))
    assert weights[3] >= weights[1] > weights[2] > weights[0] > 0
    assert (weights * np.maximum(counts, 1)).sum() / np.maximum(counts, 1).sum() == pytest.approx(1)
    np.testing.assert_allclose(class_weights(np.array([7, 7, 7]), kind), 1)


def test_class_weights_are_the_papers() -> None:
    counts = np.array([300, 100])
    np.testing.assert_allclose(np.divide(*class_weights(counts, "inverse")), 1 / 3)
    np.testing.assert_allclose(np.divide(*class_weights(counts, "log")), np.log(1.27) / np.log(1.77))
    np.testing.assert_allclose(np.divide(*class_weights(counts, "effective")), (1 - 0.999**100) / (1 - 0.999**300))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"focal_gamma": {"OCNLI": 1.5}},
        {"class_weights": {"OCNLI": [0.5, 1.0, 2.0]}},
        {"label_smoothing": {"OCNLI": 0.2}},
    ],
)
def test_several_looks_at_the_rows_are_the_mean_of_their_losses(options: dict) -> None:
    looks = [LOGITS, LOGITS[::-1] * 0.5, -LOGITS]
    each = [float(task_loss(tf.constant(look), tf.constant(LABELS), OCNLI, LossOptions(**options))) for look in looks]
    found = task_loss(tf.constant(np.stack(looks)), tf.constant(LABELS), OCNLI, LossOptions(**options))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-5)
