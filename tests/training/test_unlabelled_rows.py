"""Rows without labels in a distillation: what is minimized and logged, and what the files must be."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import FGM, TEACHER_SIGNATURE, batch_of, compiled, weighting_of
from stored import store_model

from easytransfer_mtl.commands import convert
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.encoded_rows import NO_LABEL, TEACHER
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.evaluation.stored_models import stored_model_at
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss, label_weights
from easytransfer_mtl.runs.task_data import read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, OCNLI, TNEWS, Task
from easytransfer_mtl.training.distillation import Distillation
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.training.step import Batch, Forward, TrainStep, disagreement
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]
Build = Callable[..., MultiTaskModel]
Convert = Callable[..., Path]
MIXED = Distillation(2.0, 0.3, unlabelled=True)
NONE = (NO_LABEL,) * 4


def taught(place: int, labels: tuple[int, ...]) -> Batch:
    """A task's batch with these labels and a random teacher."""
    random, num_labels = np.random.default_rng(place), CONTEST_TASKS[place].num_labels
    probabilities = random.dirichlet(np.ones(num_labels), len(labels)).astype(np.float32)
    batch = batch_of(place, len(labels))
    return {**batch, "label_ids": tf.constant(labels, tf.int32), TEACHER: tf.constant(probabilities)}


def log_softmax(values: np.ndarray) -> np.ndarray:
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def forward(step: TrainStep, batch: Batch, place: int) -> Forward:
    return step._forward(batch, tf.constant(place), tf.constant(0, tf.int64))


# What is minimized.


@pytest.mark.parametrize("labels", [(-1, 2, 0, -1, -1, 1), (0, 1, 2, 0), (-1, -1, -1), (2,)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_what_numpy_computes(labels: tuple[int, ...], weighted: bool, golden_model: Build) -> None:
    place, task, of_label = 1, OCEMOTION, tuple(np.linspace(0.5, 2.0, OCEMOTION.num_labels))
    losses = {task.name: TaskLoss(task.num_labels, label_weights=of_label if weighted else None)}
    dtp = weighting_of("dtp", "alternating", 5)
    step = compiled(golden_model(task_losses=losses), tf_keras.optimizers.SGD(0.1), dtp, distillation=MIXED)
    batch = taught(place, labels)
    found = forward(step, batch, place)
    logits = step.model.build_logits(batch)[task.logits_name].numpy().astype(float)
    teachers, temperature, hard = batch[TEACHER].numpy().astype(float), MIXED.temperature, MIXED.hard_share
    log_q = log_softmax(np.log(teachers) / temperature)
    soft = (np.exp(log_q) * (log_q - log_softmax(logits / temperature))).sum(axis=1) * temperature**2
    of_rows = [
        -log_softmax(row)[label] * (of_label[label] if weighted else 1.0) for row, label in zip(logits, labels) if label >= 0
    ]
    expected = hard * sum(of_rows) / len(labels) + (1 - hard) * soft.mean()
    assert float(found.objective) == pytest.approx(expected, rel=1e-5)
    right = [row.argmax() == label for row, label in zip(logits, labels) if label >= 0]
    if not of_rows:
        of_rows = (-teachers * log_softmax(logits)).sum(axis=1).tolist()
        right = teachers[np.arange(len(labels)), logits.argmax(axis=1)].tolist()
    assert float(found.loss) == pytest.approx(np.mean(of_rows), rel=1e-5)
    assert float(found.accuracy) == pytest.approx(np.mean(right), rel=1e-5)


@pytest.mark.parametrize("labels", [(-1, 2, 0, -1), NONE], ids=str)
def test_gradients_are_finite_and_those_of_the_rows_one_by_one(labels: tuple[int, ...], golden_model: Build) -> None:
    """Each row alone has the objective of a row with or without a label; a batch's gradients are their mean."""
    step = compiled(golden_model(), tf_keras.optimizers.SGD(0.1), distillation=MIXED)
    batch, variables = taught(2, labels), step.model.trainable_variables

    def gradients(part: Batch) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            value = forward(step, part, 2).objective
        found = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(each).numpy() for each in found]

    whole = gradients(batch)
    rows = [
        {name: value if name == "task_id" else value[place : place + 1] for name, value in batch.items()}
        for place in range(len(labels))
    ]
    for one, *parts in zip(whole, *(gradients(row) for row in rows), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, np.mean(parts, axis=0), atol=2e-6)


class Watching(MultiTaskModel):
    """Notes the labels and the shapes that its loss gets, and has an output beside the logits, and one number."""

    def build_logits(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Adds the token ids."""
        more = {"ids": features["input_ids"], "number": tf.constant(1.0)}
        return {**super().build_logits(features, training), **more}

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Notes what it gets."""
        self.seen = label_ids.numpy().tolist(), {name: value.numpy() for name, value in logits.items()}
        return super().build_loss(logits, label_ids, task_id)


def test_the_models_own_loss_gets_the_labelled_rows_alone(golden_model: Build, golden_files: Any) -> None:
    architecture = Architecture(heads={"TNEWS": "multi_dropout:3"})
    model = Watching(load_encoder(golden_files, DropoutClock(0)).encoder, CONTEST_TASKS, architecture)
    step = compiled(model, tf_keras.optimizers.SGD(0.1), distillation=MIXED)
    batch = taught(0, (4, -1, -1, 7))
    found = forward(step, batch, 0)
    labels, outputs = model.seen
    assert labels == [4, 7] and outputs["number"] == 1.0
    np.testing.assert_array_equal(outputs["ids"], batch["input_ids"].numpy()[[0, 3]])
    assert outputs["tnews_logits"].shape == (3, 2, 15) and outputs["ocnli_logits"].shape == (2, 3)
    whole = model.build_logits(batch, training=True)["tnews_logits"].numpy()
    np.testing.assert_array_equal(outputs["tnews_logits"], whole[:, [0, 3]])
    assert np.isfinite(float(found.objective))
    del model.seen
    forward(step, taught(0, NONE), 0)
    assert not hasattr(model, "seen")


SETTINGS: list[dict[str, Any]] = [
    {"rdrop_alpha": 2.0, **FGM},
    {"num_accumulated_batches": 2, "ema_decay": 0.9, **FGM},
    {"step_mode": "joint", "rdrop_alpha": 1.0, "scale_heads": False},
]
WEIGHTINGS = ["dtp", "uncertainty", "famo"]
"""Of these settings."""
with_settings = pytest.mark.parametrize(
    ("settings", "weighting"), list(zip(SETTINGS, WEIGHTINGS)), ids=["rdrop", "parts", "joint"]
)


def after_steps(
    golden_model: Build,
    labels: tuple[int, ...],
    distillation: Distillation,
    settings: dict[str, Any],
    weighting: str,
    kind: type[TrainStep] = TrainStep,
    traced: bool = True,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two steps on batches with these labels: the weights, averages among them, and what was logged of the losses."""
    batches = {task.name: taught(place, labels) for place, task in enumerate(CONTEST_TASKS)}
    mode = settings.get("step_mode", "alternating")
    of_task, given = BATCH_SIGNATURE | TEACHER_SIGNATURE, batches if mode == "joint" else batches["OCEMOTION"]
    signature = dict.fromkeys(batches, of_task) if mode == "joint" else of_task
    model = golden_model()
    step = compiled(model, tf_keras.optimizers.SGD(0.1), weighting_of(weighting, mode, 5), None, distillation, **settings)
    if kind is not TrainStep:
        step = kind(model, step.weighting, step.optimizer, step.settings, None, distillation)
    run = tf.function(step, autograph=False, input_signature=[signature]) if traced else step
    losses = [run(given)["losses"].numpy() for _ in range(2)]
    averages = step.averages.averages if step.averages else []
    return [variable.numpy() for variable in [*model.variables, *step.weighting.variables, *averages]], losses


@with_settings
def test_batches_of_labelled_rows_train_as_if_no_other_rows_existed(
    settings: dict[str, Any], weighting: str, golden_model: Build
) -> None:
    """And without other rows as before those existed."""
    labels, plain = (0, 1, 2, 0), Distillation(2.0, 0.3)
    without, as_before, with_others = (
        after_steps(golden_model, labels, distillation, settings, weighting, kind, traced=distillation is MIXED)
        for distillation, kind in ((plain, TrainStep), (plain, BeforeThem), (MIXED, TrainStep))
    )
    for one, before, other in zip(*(weights + losses for weights, losses in (without, as_before, with_others)), strict=True):
        np.testing.assert_allclose(one, before, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(other, one, atol=2e-6)


@with_settings
def test_batches_without_any_label_train_too(settings: dict[str, Any], weighting: str, golden_model: Build) -> None:
    weights, losses = after_steps(golden_model, NONE, MIXED, settings, weighting)
    assert all(np.isfinite(value).all() for value in weights)
    active = losses[0] > 0
    assert active.sum() == (3 if "step_mode" in settings else 1) and (losses[1][active] < losses[0][active]).all()


@pytest.mark.parametrize("labels", [(-1, -1, 2, -1, 0, 1, -1, -1), (-1,) * 8], ids=["mixed", "none"])
def test_parts_of_a_batch_add_up_to_it(labels: tuple[int, ...], golden_model: Build) -> None:
    """Also where a part has no labelled row: the gradients, and what is logged and given to weightings."""
    batch, found = taught(1, labels), []
    for parts in (1, 2, 4, 8):
        dtp = weighting_of("dtp", "alternating", 5)
        step = compiled(golden_model(), tf_keras.optimizers.SGD(0.1), dtp, distillation=MIXED, num_accumulated_batches=parts)
        computed = step.gradients_of(batch)
        gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in computed.gradients]
        found.append([computed.loss.numpy(), computed.accuracy.numpy(), *gradients])
    for whole, *others in zip(*found, strict=True):
        for one in others:
            np.testing.assert_allclose(one, whole, rtol=1e-5, atol=1e-6)


# Without such rows.


class BeforeThem(TrainStep):
    """The step as it was before rows without labels existed."""

    def _losses(self, logits: dict[str, tf.Tensor], batch: Batch, task_id: tf.Tensor, penalty: tf.Tensor) -> Forward:
        model, label_ids = self.model, batch["label_ids"]
        loss = objective = model.build_loss(logits, label_ids, task_id)
        if distillation := self.distillation:
            soft = model.for_task(
                lambda task: distillation.loss(
                    model.task_losses[task.name], logits[task.logits_name], batch[TEACHER], batch["label_ids"]
                ),
                task_id,
            )
            objective = distillation.mixture(loss, soft)
        if self.settings.rdrop_alpha:
            differ = model.for_task(
                lambda task: disagreement(logits[task.logits_name], model.task_losses[task.name]), task_id
            )
            objective += self.settings.rdrop_alpha / 4.0 * differ
        accuracy = tf.constant(0.0)
        if self.weighting.needs_accuracies:

            def accuracy_of(task: Task) -> tf.Tensor:
                chosen = tf.argmax(logits[task.logits_name], axis=-1, output_type=tf.int32)
                return tf.reduce_mean(tf.cast(tf.equal(chosen, label_ids), tf.float32))

            accuracy = model.for_task(accuracy_of, task_id)
        return Forward(loss, accuracy, penalty, objective)


def operations(step: TrainStep, batch: Batch) -> list[str]:
    signature = BATCH_SIGNATURE | TEACHER_SIGNATURE
    graph = tf.function(step.gradients_of, autograph=False, input_signature=[signature]).get_concrete_function().graph
    return sorted(operation.type for operation in graph.get_operations())


def test_without_them_the_graph_is_the_one_that_it_was(golden_model: Build) -> None:
    made: list[tuple[type[TrainStep], Distillation]] = [
        (TrainStep, Distillation(2.0, 0.3)), (BeforeThem, Distillation(2.0, 0.3)), (TrainStep, MIXED)
    ]  # fmt: skip
    graphs = []
    for kind, distillation in made:
        model, weighting = golden_model(), weighting_of("dtp", "alternating", 5)
        step = compiled(model, tf_keras.optimizers.SGD(0.1), weighting)
        graphs.append(operations(kind(model, weighting, step.optimizer, step.settings, None, distillation), taught(0, NONE)))
    assert graphs[0] == graphs[1] != graphs[2]
    assert graphs[0].count("StatelessIf") + graphs[0].count("If") < graphs[2].count("StatelessIf") + graphs[2].count("If")


# Runs.


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


@pytest.fixture(scope="module")
def teacher(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A stored model of random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    store_model(folder / "model", tiny_encoder, 1)
    return str(folder / "model")


@pytest.fixture
def data(tiny_data: Path, convert_rows: Convert, tmp_path: Path) -> Path:
    """A copy of the tiny data with a list of files without labels: 9 rows of TNEWS and 20 of OCNLI."""
    folder = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    for task, rows in ((TNEWS, 9), (OCNLI, 20)):
        convert_rows(folder / f"{task.name}_test.tfrecord", task, rows, labelled=False)
    listed(folder, "TNEWS_test.tfrecord", "OCNLI_test.tfrecord")
    return folder


def listed(folder: Path, *names: str) -> None:
    (folder / "test.list_tfrecord").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


@pytest.fixture
def student(data: Path, tiny_settings: Settings, teacher: str) -> Settings:
    """Builds settings of a student on these rows."""

    def build(**changes: Any) -> Any:
        files = {name: str(data / f"{kind}.list_tfrecord") for name, kind in FILES.items()}
        return tiny_settings(**{**files, "teacher": teacher, "length_buckets": 1, **changes})

    return build


FILES = {"train_input_fp": "train", "distillation_unlabelled_fp": "test"}


def predicted(teacher: str, task: Task, path: Path, labelled: bool) -> np.ndarray:
    rows = read_table(path, task, labelled).rows
    found = Predictor(teacher, tasks=CONTEST_TASKS).predict(
        task.name, map(str, range(len(rows))), [row.texts for row in rows]
    )
    return found.probabilities.astype(np.float32)


@pytest.mark.parametrize("from_texts", [False, True])
def test_they_follow_their_tasks_rows_with_the_teachers_probabilities(
    from_texts: bool, student: Settings, data: Path, teacher: str
) -> None:
    settings = student(class_weights="log", **({"teacher_data_dir": str(data)} if from_texts else {}))
    prepared = prepare(settings)
    rows = dict(zip(("TNEWS", "OCEMOTION", "OCNLI"), prepared.batches.tasks.rows))
    assert {name: len(each) for name, each in rows.items()} == {"TNEWS": 21, "OCEMOTION": 12, "OCNLI": 32}
    for item in prepared.train:
        own, name = rows[item.task.name], item.task.name
        np.testing.assert_array_equal(own.label_ids[:12], item.rows.label_ids)
        assert (own.label_ids[12:] == NO_LABEL).all()
        expected = [predicted(teacher, item.task, data / f"{name}_train.csv", True)]
        if name != "OCEMOTION":
            expected.append(predicted(teacher, item.task, data / f"{name}_test.csv", False))
        np.testing.assert_allclose(own.teacher, np.concatenate(expected), atol=1e-6)
        counts = np.bincount(item.rows.label_ids, minlength=item.task.num_labels)
        assert prepared.losses[name].label_weights == label_weights(counts, "log")
    kept = sorted(path.name for path in data.glob("*_test.tfrecord.teacher.safetensors"))
    assert kept == ["OCNLI_test.tfrecord.teacher.safetensors", "TNEWS_test.tfrecord.teacher.safetensors"]
    without = prepare(replace(settings, distillation_unlabelled_fp=None))
    assert prepared.plan.steps.train_steps > without.plan.steps.train_steps
    assert without.losses == prepared.losses


def test_a_header_that_looks_like_a_row_was_passed_over(
    student: Settings, data: Path, tiny_encoder: Path, teacher: str
) -> None:
    source, records = data / "TNEWS_test.csv", data / "TNEWS_test.tfrecord"
    source.write_text("number\tTitle\n" + source.read_text(encoding="utf-8"), encoding="utf-8")
    settings = ConvertSettings(
        preprocess_input_fp=str(source), preprocess_output_fp=str(records), task="TNEWS", labelled=False, header=True,
        tokenizer_name_or_path=str(tiny_encoder), sequence_length=16,
    )  # fmt: skip
    assert convert.run(settings) == 0
    [tnews, _] = prepare(student(teacher_data_dir=str(data))).unlabelled
    expected = predicted(teacher, TNEWS, source, False)[1:]
    np.testing.assert_allclose(tnews.rows.teacher, expected, atol=1e-6)


def weights_of(model: MultiTaskModel) -> list[np.ndarray]:
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


@pytest.mark.parametrize(
    "more",
    [
        {"rdrop_alpha": 1.0, "num_accumulated_batches": 2, "ema_decay": 0.9, "token_dropout": "0.2"},
        {"step_mode": "joint", "loss_weighting": "famo", "joint_batch_sizes": "tnews=2,ocnli=1,ocemotion=2"},
    ],
    ids=["alternating", "joint"],
)
def test_a_run_goes_on_bit_for_bit_and_only_with_the_same_rows(
    more: dict[str, Any], student: Settings, data: Path, convert_rows: Convert, tmp_path: Path
) -> None:
    settings = student(save_steps=2, **more)
    whole = weights_of(run_training(replace(settings, model_dir=str(tmp_path / "whole"))).model)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    last = max(int(path.stem.rsplit("-")[-1]) for path in (tmp_path / "run").glob("model.ckpt-*.index"))
    for path in (tmp_path / "run").glob(f"model.ckpt-{last}.*"):
        path.unlink()
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    listed(data, "TNEWS_test.tfrecord")
    with pytest.raises(UserError, match="is a run on other data than this: OCNLI: its rows without labels are missing"):
        run_training(settings)
    convert_rows(data / "OCEMOTION_test.tfrecord", OCEMOTION, 3, labelled=False)
    listed(data, "TNEWS_test.tfrecord", "OCNLI_test.tfrecord", "OCEMOTION_test.tfrecord")
    with pytest.raises(UserError, match="OCEMOTION: rows without labels where there were none"):
        run_training(settings)
    with pytest.raises(UserError, match="TNEWS: its rows without labels are missing; OCNLI: its rows"):
        run_training(replace(settings, distillation_unlabelled_fp=None))
    convert_rows(data / "other.tfrecord", TNEWS, 10, labelled=False)
    listed(data, "other.tfrecord", "OCNLI_test.tfrecord")
    with pytest.raises(UserError, match=r"TNEWS \(other.tfrecord\): rows was 9, is 10 now, another teacher"):
        run_training(settings)
    assert before == {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    listed(data, "OCNLI_test.tfrecord", "TNEWS_test.tfrecord")
    np.testing.assert_equal(weights_of(run_training(settings).model), whole)
    written = read_json(tmp_path / "run/train_config.json")["data"]
    assert [(item["task"], item["rows"]) for item in written["unlabelled"]] == [("OCNLI", 20), ("TNEWS", 9)]


class Exploding(MultiTaskModel):
    """Its loss is no number from the second step on."""

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """NaN at time 1 and later."""
        return super().build_loss(logits, label_ids, task_id) * tf.where(self.encoder.clock.time >= 1, float("nan"), 1.0)


def test_a_loss_that_is_no_number_names_rows_of_both_files(student: Settings, data: Path) -> None:
    (data / "train.list_tfrecord").write_text("OCNLI_train.tfrecord\n", encoding="utf-8")
    listed(data, "OCNLI_test.tfrecord")
    settings = student(shuffle=False, train_batch_size=10, length_grouping=1, num_epochs=1.0)
    labelled, others = "rows 11, 12 of .*OCNLI_train.tfrecord", "rows 1, 2, 3, 4, 5, 6, 7, 8 of .*OCNLI_test.tfrecord"
    with pytest.raises(UserError, match=rf"The loss of OCNLI is nan at step 2 \({labelled}; {others}, the first row being"):
        run_training(settings, Exploding)


def test_a_student_comes_nearer_to_its_teacher_with_them(
    tiny_settings: Settings, tiny_encoder: Path, tiny_data: Path, convert_rows: Convert, tmp_path: Path
) -> None:
    """On rows that neither has seen, in as many steps: the labelled rows alone are few. It learns more than the teacher's
    mean, which is all that a student could say that has not learned to read."""
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))  # with one layer it learns the mean only
    write_json(encoder / "config.json", {**read_json(encoder / "config.json"), "num_hidden_layers": 2})
    store_model(tmp_path / "teacher", encoder, 1, (OCNLI,), reads_texts=True)
    folder, rows = Path(shutil.copytree(tiny_data, tmp_path / "data")), 600
    more = {"distillation_unlabelled_fp": str(convert_rows(folder / "test.tfrecord", OCNLI, rows, labelled=False))}
    common = {"train_input_fp": str(folder / "OCNLI_train.tfrecord"), "teacher": str(tmp_path / "teacher")}
    common |= {"learning_rate": 0.01, "train_batch_size": 24, "distillation_hard_share": 0.2}
    common |= {"save_steps": 0, "length_buckets": 1, "pretrain_model_name_or_path": str(encoder)}
    few = run_training(tiny_settings(model_dir=str(tmp_path / "few"), num_epochs=10 * (12 + rows) / 12, **common)).model
    many = run_training(tiny_settings(model_dir=str(tmp_path / "many"), num_epochs=10, **common, **more)).model
    member = stored_model_at(str(tmp_path / "teacher"))
    new, vocabulary = convert_rows(folder / "new.tfrecord", OCNLI, 90), member.folder.encoder_files.vocabulary
    [item] = read_task_data(str(new), CONTEST_TASKS, vocabulary, encoder, None)
    models = (member.load(), few, many)
    q, *students = (Inference(each, 30).outputs(item.rows, ["OCNLI"], "")["OCNLI"].probabilities for each in models)
    far, near, mean = (float((q * np.log(q / p)).sum(axis=1).mean()) for p in (*students, q.mean(axis=0)))
    print(f"KL to the teacher on new rows: labelled rows {far:.3f}, with others {near:.3f}, the teacher's mean {mean:.3f}")
    assert near < 0.7 * far and near < 0.7 * mean


# What is refused.


def test_files_that_do_not_fit_are_refused_before_anything_is_computed(
    student: Settings, data: Path, convert_rows: Convert, tiny_encoder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "vocab.txt"
    other.write_text((tiny_encoder / "vocab.txt").read_text(encoding="utf-8") + "新\n", encoding="utf-8")
    convert_rows(data / "empty.tfrecord", TNEWS, 0, labelled=False)
    convert_rows(data / "nfkc.tfrecord", TNEWS, 4, "nfkc", labelled=False)
    convert_rows(data / "short.tfrecord", TNEWS, 4, labelled=False, length=12)
    convert_rows(data / "other.tfrecord", TNEWS, 4, labelled=False, vocabulary=other)
    shutil.copyfile(data / "TNEWS_test.tfrecord", data / "TNEWS_foreign.tfrecord")
    for name, message in (
        ("TNEWS_train.tfrecord", "TNEWS_train.tfrecord has labels, where rows without labels are wanted"),
        ("TNEWS_dev.tfrecord", "TNEWS_dev.tfrecord has labels.* dev rows are not for training"),
        (
            "TNEWS_foreign.tfrecord",
            "TNEWS_foreign.tfrecord has no manifest, so nothing says that its rows are without labels",
        ),
        ("empty.tfrecord", "empty.tfrecord has no rows"),
        ("nfkc.tfrecord", "nfkc.tfrecord was converted with sequence_length 16 and text_normalization nfkc, .* 16 and none"),
        ("short.tfrecord", "short.tfrecord was converted with sequence_length 12 .*rows of TNEWS with 16 and none"),
        ("other.tfrecord", "other.tfrecord was made with another vocabulary"),
        ("nothing.tfrecord", "nothing.tfrecord does not exist"),
    ):
        listed(data, name)
        with pytest.raises(UserError, match=message):
            prepare(student())
    listed(data, "TNEWS_test.tfrecord", "TNEWS_test.tfrecord")
    with pytest.raises(UserError, match="two files have the same task"):
        prepare(student())
    listed(data, "OCNLI_test.tfrecord")
    with pytest.raises(UserError, match="No task is called 'OCNLI'; the tasks are TNEWS"):
        prepare(student(train_input_fp=str(data / "TNEWS_train.tfrecord")))
    with pytest.raises(UserError, match="distillation_unlabelled_fp .*has no effect with teacher None"):
        prepare(student(teacher=None))
    (data / "run").mkdir()
    for place in ("{}", "{}.manifest.json"):
        shutil.move(data / place.format("OCNLI_test.tfrecord"), data / "run" / place.format("train_config.json"))
    listed(data, "run/train_config.json")
    with pytest.raises(UserError, match="run/train_config.json would be written over"):
        prepare(student(model_dir=str(data / "run")))
    assert not list(data.glob("*.teacher.safetensors")) and not (tmp_path / "run").exists()


def test_dev_texts_among_them_are_warned_of(
    student: Settings, data: Path, convert_rows: Convert, caplog: pytest.LogCaptureFixture
) -> None:
    convert_rows(data / "TNEWS_dev_again.tfrecord", TNEWS, 9, labelled=False)
    manifest = read_json(manifest_path(data / "TNEWS_dev_again.tfrecord"))
    shutil.copyfile(data / "TNEWS_dev.tfrecord", data / "TNEWS_dev_again.tfrecord")
    write_json(manifest_path(data / "TNEWS_dev_again.tfrecord"), manifest | {"rows": 5})
    listed(data, "TNEWS_dev_again.tfrecord", "OCNLI_test.tfrecord")
    with caplog.at_level(logging.WARNING):
        prepare(student(predict_input_fp=str(data / "dev.list_tfrecord")))
    [line] = [line for line in caplog.messages if "are among the rows without labels" in line]
    assert "TNEWS_dev.tfrecord: the texts of 5 of its 5 rows" in line
