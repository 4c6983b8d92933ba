"""A task's loss: plain, with weights of labels, smoothed, focal."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import bits_of, targets_of
from easytransfer_mtl.models.task_loss import MultiLabelLoss, ScoreLoss, TagLoss, TaskLoss, label_weights, predictions_of
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.rdrop import disagreement

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


SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], np.int32)
SIGMOID = 1 / (1 + np.exp(-LOGITS.astype(float)))


def several(**options: Any) -> float:
    return float(MultiLabelLoss(3, **options)(tf.constant(LOGITS), tf.constant(SEVERAL)))


def binary_cross_entropy(targets: np.ndarray) -> np.ndarray:
    return -(targets * np.log(SIGMOID) + (1 - targets) * np.log(1 - SIGMOID))


def test_several_labels_plain_weighted_smoothed_and_focal() -> None:
    each, right = binary_cross_entropy(SEVERAL), np.where(SEVERAL > 0, SIGMOID, 1 - SIGMOID)
    weights = (0.5, 1.0, 2.0)
    assert several() == pytest.approx(each.mean(), rel=1e-6)
    assert several(label_weights=weights) == pytest.approx((each * weights).mean(), rel=1e-6)
    assert several(focal_gamma=2.0) == pytest.approx((each * (1 - right) ** 2).mean(), rel=1e-5)
    smooth = 0.9 * SEVERAL + 0.05
    assert several(label_smoothing=0.1) == pytest.approx(binary_cross_entropy(smooth).mean(), rel=1e-6)
    copies = tf.tile(tf.constant(LOGITS)[tf.newaxis], [5, 1, 1])
    assert float(MultiLabelLoss(3)(copies, tf.constant(SEVERAL))) == pytest.approx(several(), rel=1e-6)


def test_numbers_have_the_squared_error() -> None:
    numbers, logits = np.array([0.1, 2.0, -3e4, 1e-30], np.float32), np.array([[1.0], [2.0], [3.0], [0.5]], np.float32)
    found = ScoreLoss(1)(tf.constant(logits), tf.constant(bits_of(numbers)))
    assert float(found) == pytest.approx(np.mean((logits[:, 0] - numbers) ** 2), rel=1e-6)
    np.testing.assert_array_equal(targets_of(bits_of(numbers), "score"), numbers)


@pytest.mark.parametrize(
    ("own", "logits", "label_ids"),
    [
        (TaskLoss(3), LOGITS, LABELS),
        (MultiLabelLoss(3), LOGITS, SEVERAL),
        (ScoreLoss(1), LOGITS[:, :1], bits_of(LOGITS[:, 1])),
    ],
)
def test_labels_of_a_rank_that_is_known_later_give_the_same(
    own: TaskLoss, logits: np.ndarray, label_ids: np.ndarray
) -> None:
    def both(given: tf.Tensor) -> list[tf.Tensor]:
        return [own(tf.constant(logits), given), own.accuracy(tf.constant(logits), given)]

    late = tf.function(both, input_signature=[tf.TensorSpec(None, tf.int32)])
    np.testing.assert_allclose(late(tf.constant(label_ids)), both(tf.constant(label_ids)), rtol=1e-6)


def test_accuracy_of_several_labels_is_that_of_all_decisions() -> None:
    assert float(MultiLabelLoss(3).accuracy(tf.constant(LOGITS), tf.constant(SEVERAL))) == ((LOGITS > 0) == SEVERAL).mean()


def test_disagreement_is_the_symmetric_divergence() -> None:
    first, second = tf.constant(LOGITS), tf.constant(LOGITS[::-1].copy())
    p, q = SIGMOID, SIGMOID[::-1]
    own = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)) + q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
    np.testing.assert_allclose(MultiLabelLoss(3).disagreement(first, second), own.mean(axis=1), rtol=1e-5)
    # Normal distributions with variance 1: (a - b)^2 / 2 in either direction.
    np.testing.assert_allclose(ScoreLoss(1).disagreement(first[:, :1], second[:, :1]), (LOGITS[:, 0] - LOGITS[::-1, 0]) ** 2)


@pytest.mark.parametrize("values", [{"range": (0.0, 1.0)}, {"range": None}])
def test_predictions_of_each_type(values: dict[str, Any]) -> None:
    logits = tf.constant(LOGITS)
    about = {"name": "x", "columns": ("idx", "a", "label"), "first_sequence": "a"}
    several = Task(**about, type="multi_label", label_enumerate_values=("a", "b", "c"), threshold=0.6)
    found, probabilities = predictions_of(several, logits)
    np.testing.assert_allclose(probabilities, SIGMOID, rtol=1e-6)
    np.testing.assert_array_equal(found, SIGMOID >= 0.6)
    number = Task(**about, type="score", label_enumerate_values=(), **values)
    found, same = predictions_of(number, logits[:, :1])
    wanted = np.clip(LOGITS[:, 0], *values["range"]) if values["range"] else LOGITS[:, 0]
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(same[:, 0], wanted)


TAG_LOGITS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
TAG_IDS = np.array([[-1, 0, 2, -1, -1], [-1, 1, 1, 0, -1]], np.int32)


def tag_loss(logits: np.ndarray = TAG_LOGITS, label_ids: np.ndarray = TAG_IDS, **options: Any) -> float:
    return float(TagLoss(3, **options)(tf.constant(logits), tf.constant(label_ids)))


@pytest.mark.parametrize(
    "options",
    [{}, {"focal_gamma": 1.5}, {"label_weights": (0.5, 1.0, 2.0)}, {"label_smoothing": 0.2}],
)
def test_tags_have_the_loss_of_as_many_rows_with_a_label(options: dict[str, Any]) -> None:
    tagged = TAG_IDS >= 0
    as_rows = float(TaskLoss(3, **options)(tf.constant(TAG_LOGITS[tagged]), tf.constant(TAG_IDS[tagged])))
    assert tag_loss(**options) == pytest.approx(as_rows, rel=1e-6)
    looks = [TAG_LOGITS, -TAG_LOGITS, 0.5 * TAG_LOGITS]
    each = [tag_loss(look, **options) for look in looks]
    assert tag_loss(np.stack(looks), **options) == pytest.approx(np.mean(each), rel=1e-6)


def test_tags_by_numpy() -> None:
    logs = TAG_LOGITS.astype(float) - np.log(np.exp(TAG_LOGITS.astype(float)).sum(axis=2, keepdims=True))
    wanted = -np.mean([logs[row, place, TAG_IDS[row, place]] for row, place in np.argwhere(TAG_IDS >= 0)])
    assert tag_loss() == pytest.approx(wanted, rel=1e-6)
    right = TAG_LOGITS.argmax(axis=2)[TAG_IDS >= 0] == TAG_IDS[TAG_IDS >= 0]
    assert float(TagLoss(3).accuracy(tf.constant(TAG_LOGITS), tf.constant(TAG_IDS))) == pytest.approx(right.mean())


def test_the_mean_of_parts_times_their_factor_is_the_batchs() -> None:
    parts = [(TAG_LOGITS[:1], TAG_IDS[:1]), (TAG_LOGITS[1:], TAG_IDS[1:])]
    factors = [float(TagLoss(3).part_factor(tf.constant(ids), tf.constant(TAG_IDS), 2)) for _, ids in parts]
    assert factors == pytest.approx([0.8, 1.2])
    products = [factor * tag_loss(*part) for factor, part in zip(factors, parts, strict=True)]
    assert sum(products) / 2 == pytest.approx(tag_loss())
    assert float(TaskLoss(3).part_factor(tf.constant([0]), tf.constant([0, 1]), 2)) == 1.0


def test_a_batch_without_tags_has_no_loss_and_no_gradient() -> None:
    logits = tf.Variable(TAG_LOGITS)
    with tf.GradientTape() as tape:
        value = TagLoss(3, focal_gamma=1.0)(logits, tf.fill([2, 5], -1))
    assert float(value) == 0.0 and not tape.gradient(value, logits).numpy().any()


def test_disagreement_of_tags_is_that_of_their_tokens() -> None:
    other, tagged = -0.3 * TAG_LOGITS, TAG_IDS >= 0
    both = tf.constant(np.concatenate([TAG_LOGITS, other]))
    found = disagreement(both, TagLoss(3), tf.constant(np.concatenate([TAG_IDS, TAG_IDS])))
    as_rows = tf.constant(np.concatenate([TAG_LOGITS[tagged], other[tagged]]))
    assert float(found) == pytest.approx(float(disagreement(as_rows, TaskLoss(3))), rel=1e-5)
