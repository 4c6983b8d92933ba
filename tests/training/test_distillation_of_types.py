"""Distillation of several labels, numbers and tags: the formulas, steps, and where a teacher's words of units go."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.data.encoded_rows import NO_LABEL, TEACHER, EncodedRows, bits_of, concatenate, from_arrays, from_units
from easytransfer_mtl.data.list_files import TaskFile
from easytransfer_mtl.data.manifest import Manifest
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import loss_of
from easytransfer_mtl.runs.task_data import TaskData, _check_unlabelled
from easytransfer_mtl.tasks import OCNLI, Task
from easytransfer_mtl.training.distillation import Distillation
from easytransfer_mtl.training.step import Batch, TrainStep
from easytransfer_mtl.training.teacher import _with_units, of_tokens
from easytransfer_mtl.weighting import RunFacts, make_weighting

RANDOM = np.random.default_rng(5)
TOPICS = Task("TOPICS", (), "text", ("a", "b", "c"), type="multi_label")
GRADE = Task("GRADE", (), "text", (), type="score")
NER = Task("NER", (), "text", ("O", "B-A", "I-A"), type="tags")
TASKS = (TOPICS, GRADE, NER, OCNLI)
TAG_IDS = np.array([[-1, 0, 1, 2, -1, -1], [-1, 0, -1, -1, -1, -1], [-1, 2, -1, 1, -1, -1], [-1, 2, 1, 0, 1, -1]], np.int32)
LABELS = {
    "TOPICS": np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1]], np.int32),
    "GRADE": bits_of(np.array([0.5, -2.0, 3.0, 1.0])),
    "NER": TAG_IDS,
    "OCNLI": np.array([0, 1, 2, 1], np.int32),
}
SURE = {
    "TOPICS": LABELS["TOPICS"].astype(np.float32),
    "GRADE": np.array([[0.5], [-2.0], [3.0], [1.0]], np.float32),
    "NER": tf.one_hot(TAG_IDS, 3).numpy(),
    "OCNLI": np.eye(3, dtype=np.float32)[LABELS["OCNLI"]],
}
"""What a teacher that is sure of the labels says."""


def loss(
    task: Task, made: Distillation, logits: np.ndarray, teacher: np.ndarray, label_ids: np.ndarray | None = None
) -> float:
    ids = tf.constant(np.zeros(len(teacher), np.int32) if label_ids is None else label_ids)
    return float(made.loss(loss_of(task), tf.constant(logits, tf.float32), tf.constant(teacher, tf.float32), ids))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_several_labels_have_a_divergence_each(temperature: float) -> None:
    logits, teacher = RANDOM.normal(size=(5, 3)) * 2, RANDOM.uniform(0.02, 0.98, (5, 3))
    p, q = sigmoid(logits / temperature), sigmoid((np.log(teacher) - np.log(1 - teacher)) / temperature)
    expected = temperature**2 * (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).mean()
    made = Distillation(temperature, 0.5)
    assert loss(TOPICS, made, logits, teacher) == pytest.approx(expected, rel=1e-4)
    assert loss(TOPICS, made, np.stack([logits, logits]), teacher) == pytest.approx(expected, rel=1e-4)
    assert loss(TOPICS, made, logits, sigmoid(logits)) == pytest.approx(0.0, abs=1e-5)


def test_a_sure_teacher_of_several_labels_is_never_infinite() -> None:
    logits = tf.Variable([[300.0, 0.0, -300.0]])
    for teacher in ([[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]]):
        with tf.GradientTape() as tape:
            value = Distillation(2.0, 0.5).loss(loss_of(TOPICS), logits, tf.constant(teacher), tf.zeros([1, 3], tf.int32))
        assert np.isfinite(float(value)) and np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_numbers_have_the_squared_difference_to_the_teachers(temperature: float) -> None:
    found = loss(GRADE, Distillation(temperature, 0.5), np.array([[1.0], [2.5]]), np.array([[0.0], [-1.5]]))
    assert found == pytest.approx((1 + 16) / 2)


def test_tags_have_a_divergence_each_and_those_without_a_teachers_word_none() -> None:
    logits, teacher = RANDOM.normal(size=(4, 6, 3)), RANDOM.dirichlet(np.ones(3), (4, 6))
    teacher[3, 4] = 0.0  # behind the teacher's cut
    log_p = logits / 2 - np.log(np.exp(logits / 2).sum(axis=2, keepdims=True))
    q = teacher**0.5 / np.maximum((teacher**0.5).sum(axis=2, keepdims=True), 1e-9)
    places = [(row, place) for row, place in np.argwhere(TAG_IDS >= 0) if (row, place) != (3, 4)]
    expected = 4 * sum((q[at] * (np.log(q[at]) - log_p[at])).sum() for at in places) / (TAG_IDS >= 0).sum()
    assert loss(NER, Distillation(2.0, 0.5), logits, teacher, TAG_IDS) == pytest.approx(expected, rel=1e-4)


def batch_of(place: int, label_ids: np.ndarray, teacher: np.ndarray | None = None) -> Batch:
    ids = np.random.default_rng(place).integers(5, 20, (4, 6)).astype(np.int32)
    batch = {
        "input_ids": tf.constant(ids), "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(label_ids), "task_id": tf.constant(place),
    }  # fmt: skip
    return batch if teacher is None else {**batch, TEACHER: tf.constant(teacher)}


def step_of(golden_files: Any, mode: str, distillation: Distillation | None = None, **settings: Any) -> TrainStep:
    encoder = load_encoder(golden_files, DropoutClock(0)).encoder
    model = MultiTaskModel(encoder, TASKS, Architecture(head_dropout=0.0))
    given = WeightingSettings(loss_weighting="equal", step_mode=mode)
    method = make_weighting(given, RunFacts([task.name for task in TASKS], [3, 1, 3, 3], 1, 5))
    optimizer = tf_keras.optimizers.SGD(0.1)
    return compiled(model, optimizer, method, distillation=distillation, gradient_clip=False, **settings)


def moved(step: TrainStep, batches: list[Batch], mode: str, traced: bool) -> list[np.ndarray]:
    """Returns the weights after a step of each batch, or one of all, in a graph or without, and the losses of the last."""
    given: list[Any] = [{task.name: batch for task, batch in zip(TASKS, batches)}] if mode == "joint" else batches
    specs = tf.nest.map_structure(
        lambda *values: tf.TensorSpec(values[0].shape if len({value.shape.rank for value in values}) == 1 else None,
                                      values[0].dtype), *given,
    )  # fmt: skip
    function = tf.function(step, autograph=False, input_signature=[specs]) if traced else step
    losses = [function(batch)["losses"].numpy() for batch in given]
    return [variable.numpy() for variable in step.model.trainable_variables] + losses


@pytest.mark.parametrize("mode", ["alternating", "joint"])
@pytest.mark.parametrize("settings", [{}, {"num_accumulated_batches": 2, "rdrop_alpha": 2.0}], ids=["plain", "parts"])
def test_a_teacher_that_is_sure_of_the_labels_changes_nothing(
    golden_files: Any, mode: str, settings: dict[str, Any]
) -> None:
    plain, taught = (
        [batch_of(place, LABELS[task.name], SURE[task.name] if sure else None) for place, task in enumerate(TASKS)]
        for sure in (False, True)
    )
    one = moved(step_of(golden_files, mode, **settings), plain, mode, traced=False)
    other = moved(step_of(golden_files, mode, Distillation(1.0, 0.3), **settings), taught, mode, traced=True)
    for before, after in zip(one, other, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("mode", ["alternating", "joint"])
@pytest.mark.parametrize("labelled", [[0, 3], []], ids=["two of four", "none"])
def test_parts_of_a_batch_with_rows_without_labels_add_up_to_it(golden_files: Any, mode: str, labelled: list[int]) -> None:
    batches = []
    for place, task in enumerate(TASKS):
        label_ids, teacher = LABELS[task.name].copy(), SURE[task.name] * 0.8 + 0.1
        if task is not NER:
            label_ids[[row for row in range(4) if row not in labelled]] = NO_LABEL
        batches.append(batch_of(place, label_ids, teacher.astype(np.float32)))
    made = Distillation(2.0, 0.4, unlabelled=True)
    whole, parts = (
        moved(step_of(golden_files, mode, made, num_accumulated_batches=count), batches, mode, traced=count > 1)
        for count in (1, 2)
    )
    for one, other in zip(whole, parts, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=3e-6)


def test_rows_without_a_label_have_the_teachers_part_alone(golden_files: Any) -> None:
    for place, task in enumerate(TASKS[:2]):
        label_ids = LABELS[task.name].copy()
        label_ids[1:3] = NO_LABEL
        teacher = (SURE[task.name] * 0.8 + 0.1).astype(np.float32)
        step = step_of(golden_files, "alternating", Distillation(2.0, 0.4, unlabelled=True))
        batch = batch_of(place, label_ids, teacher)
        found = step._forward(batch, tf.constant(place), tf.constant(0, tf.int64))
        logits = step.model.build_logits(batch)[task.logits_name]
        labelled = loss_of(task)(tf.gather(logits, [0, 3]), tf.gather(batch["label_ids"], [0, 3]))
        soft = loss_of(task).mean_divergence(logits, batch[TEACHER], batch["label_ids"], 2.0)
        assert float(found.loss) == pytest.approx(float(labelled), rel=1e-5)
        assert float(found.objective) == pytest.approx(0.4 * float(labelled) / 2 + 0.6 * float(soft), rel=1e-5)


def tagged_rows() -> EncodedRows:
    lengths = (TAG_IDS.shape[1] - (TAG_IDS[:, ::-1] >= 0).argmax(axis=1)).astype(np.int64)
    ids = np.where(np.arange(6) < lengths[:, None], 7, 0)
    return from_arrays(ids, lengths, np.zeros_like(ids), np.zeros(4, np.int32), TAG_IDS)


def test_what_is_said_of_units_goes_to_the_tokens_that_they_begin_with() -> None:
    rows, of_units = tagged_rows(), RANDOM.dirichlet(np.ones(3), (4, 3)).astype(np.float32)  # 3 of up to 4 units
    found = of_tokens(of_units, rows)
    assert found.shape == (len(rows.input_ids), 3)
    taught = EncodedRows(rows.input_ids, rows.segment_ids, rows.offsets, rows.label_ids, found, rows.tag_ids)
    batch = taught.take(np.array([3, 1])).batch(np.array([1, 0]))
    assert batch[TEACHER].shape == (2, *batch["input_ids"].shape[1:], 3)
    np.testing.assert_array_equal(
        batch[TEACHER][0], np.eye(5, 3, k=9) + np.where(np.arange(5)[:, None] == 1, of_units[1, 0], 0)
    )
    np.testing.assert_array_equal(batch[TEACHER][1], [[0] * 3, *of_units[3], [0] * 3])  # nothing of the fourth unit
    joined = concatenate([taught.first(2), taught.take(np.array([2, 3]))])
    assert joined.teacher is not None
    np.testing.assert_array_equal(joined.teacher, found)


def test_texts_say_which_characters_have_no_token(golden_files: Any) -> None:
    """A TFRecord does not know of the space between its tagged characters."""
    builder = feature_builder(golden_files.vocabulary, "none", 16)
    texts = [("天 地人",), ("人",)]
    read = from_units(builder.encode_units(list(text)) for text, *_ in texts)
    written = replace(read, unit_numbers=None)
    item = TaskData(TaskFile(NER, Path("x"), None), written, 16)
    assert written.units[written.units >= 0].tolist() == [0, 1, 2, 0]
    found = _with_units(item, texts, golden_files.vocabulary).rows
    assert found.units[found.units >= 0].tolist() == [0, 2, 3, 0]
    with pytest.raises(UserError, match="encoded to other token ids now"):
        _with_units(item, [("天 地",), ("人",)], golden_files.vocabulary)


def test_files_without_tags_are_refused(tmp_path: Path) -> None:
    manifest = Manifest.__new__(Manifest)
    object.__setattr__(manifest, "labelled", False)
    with pytest.raises(UserError, match="does not say which tokens begin a character"):
        _check_unlabelled(TaskFile(NER, tmp_path / "ner.tfrecord", manifest))
