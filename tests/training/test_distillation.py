"""Distillation: the paper's formula, steps along its gradient, and a student that comes nearer to its teacher."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import TEACHER_SIGNATURE, batch_of, compiled
from stored import store_model

from easytransfer_mtl.commands import train
from easytransfer_mtl.data.encoded_rows import TEACHER
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.export import load_exported
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.stored_models import stored_model_at
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.runs.task_data import TaskData, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.checks import check_settings
from easytransfer_mtl.training.distillation import Distillation
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE
from easytransfer_mtl.training.trainer import run_training

RANDOM = np.random.default_rng(3)
Settings = Callable[..., Any]


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def loss_of_rows(made: Distillation, logits: tf.Tensor, teachers: tf.Tensor) -> tf.Tensor:
    """Returns the loss of rows with one label each; what their labels are does not matter."""
    return made.loss(TaskLoss(teachers.shape[-1]), logits, teachers, tf.zeros(len(teachers), tf.int32))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_loss_is_the_divergence_of_the_tempered_distributions(temperature: float) -> None:
    logits, teachers = RANDOM.normal(size=(6, 5)) * 2, RANDOM.dirichlet(np.ones(5), 6)
    p, q = softmax(logits / temperature), teachers ** (1 / temperature)
    q /= q.sum(axis=1, keepdims=True)
    expected = temperature**2 * (q * np.log(q / p)).sum(axis=1).mean()
    made = Distillation(temperature, 0.5)
    found = loss_of_rows(made, tf.constant(logits, tf.float32), tf.constant(teachers, tf.float32))
    assert float(found) == pytest.approx(expected, rel=1e-4)
    of_masks = loss_of_rows(made, tf.constant(np.stack([logits, logits]), tf.float32), tf.constant(teachers, tf.float32))
    assert float(of_masks) == pytest.approx(expected, rel=1e-4)


def test_loss_of_a_student_that_equals_its_teacher_is_0_and_never_infinite() -> None:
    logits = tf.Variable([[300.0, 0.0, -5.0], [0.0, 1.0, 2.0]])
    own = tf.nn.softmax(logits)  # holds zeros
    for teachers in (own, own[::-1]):
        with tf.GradientTape() as tape:
            value = loss_of_rows(Distillation(1.0, 0.5), logits, tf.constant(teachers))
        assert np.isfinite(float(value)) and np.isfinite(tape.gradient(value, logits)).all()
    assert float(loss_of_rows(Distillation(2.0, 0.5), logits[1:], own[1:])) == pytest.approx(0.0, abs=1e-6)


def test_temperature_leaves_the_gradients_size_as_it_is() -> None:
    """At a high temperature it is (z - v) / C, z and v the centred logits: the paper's equation 4 without its 1/T^2."""
    logits, others = RANDOM.normal(size=(2, 1, 4)) / 10
    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = loss_of_rows(Distillation(50.0, 0.0), variable, tf.constant(softmax(others), tf.float32))
    centred = logits - logits.mean() - (others - others.mean())
    np.testing.assert_allclose(tape.gradient(value, variable), centred / 4, atol=2e-4)


def taught(batch: dict[str, tf.Tensor], num_labels: int) -> dict[str, tf.Tensor]:
    """Returns a batch whose teacher is sure of the labels."""
    return {**batch, TEACHER: tf.one_hot(batch["label_ids"], num_labels)}


@pytest.mark.parametrize(
    "settings",
    [{"num_accumulated_batches": 2, "rdrop_alpha": 2.0}, {"step_mode": "joint", "adversarial": "fgm"}],
    ids=lambda settings: "-".join(settings),
)
def test_a_teacher_that_is_sure_of_the_labels_changes_nothing(
    settings: dict[str, Any], golden_model: Callable[..., MultiTaskModel]
) -> None:
    batches = {task.name: batch_of(place) for place, task in enumerate(CONTEST_TASKS)}
    with_teacher = {task.name: taught(batches[task.name], task.num_labels) for task in CONTEST_TASKS}
    weights = []
    for given, distillation in ((batches, None), (with_teacher, Distillation(1.0, 0.3))):
        model = golden_model()
        step = compiled(model, tf_keras.optimizers.SGD(0.1), distillation=distillation, **settings)
        one = given if "step_mode" in settings else given["OCEMOTION"]
        of_task = BATCH_SIGNATURE | (TEACHER_SIGNATURE if distillation else {})
        signature = dict.fromkeys(given, of_task) if "step_mode" in settings else of_task
        graph = tf.function(step, autograph=False, input_signature=[signature])
        logs = (graph if distillation else step)(one)
        weights.append([variable.numpy() for variable in model.trainable_variables] + [logs["losses"].numpy()])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-6)


def test_weightings_and_logs_see_the_labels_loss_alone(golden_model: Callable[..., MultiTaskModel]) -> None:
    batch = batch_of(1)
    teachers = {TEACHER: tf.constant(RANDOM.dirichlet(np.ones(7), 4), tf.float32)}
    plain = compiled(golden_model(), tf_keras.optimizers.SGD(0.1))
    student = compiled(golden_model(), tf_keras.optimizers.SGD(0.1), distillation=Distillation(2.0, 0.25))
    found = [step._forward({**batch, **teachers}, tf.constant(1), tf.constant(0, tf.int64)) for step in (plain, student)]
    assert float(found[0].loss) == float(found[1].loss) == float(found[0].objective)
    logits = student.model.build_logits(batch)["ocemotion_logits"]
    soft = float(loss_of_rows(Distillation(2.0, 0.25), logits, teachers[TEACHER]))
    assert float(found[1].objective) == pytest.approx(0.25 * float(found[1].loss) + 0.75 * soft, rel=1e-5)


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


@pytest.fixture(scope="module")
def teachers(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two stored models as --teacher names them."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        store_model(folder / f"seed_{seed}", tiny_encoder, seed)
    return f"{folder}/seed_*"


@pytest.fixture
def own_data(tiny_data: Path, tmp_path: Path) -> dict[str, str]:
    """A copy of the tiny data, since files are written beside it: the settings that name it."""
    folder = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    return {"train_input_fp": str(folder / "train.list_tfrecord"), "predict_input_fp": str(folder / "dev.list_tfrecord")}


def divergence(model: MultiTaskModel, teacher: MultiTaskModel, data: list[TaskData]) -> float:
    """Returns the mean of KL(teacher || model) over the rows of all tasks."""
    values = []
    for item in data:
        name = item.task.name
        q, p = (Inference(each, 8).outputs(item.rows, [name], "")[name].probabilities for each in (teacher, model))
        values.append((q * np.log(q / p)).sum(axis=1))
    return float(np.concatenate(values).mean())


@pytest.mark.parametrize("step_mode", ["alternating", "joint"])
def test_a_student_comes_nearer_to_its_teacher_than_without_it(
    step_mode: str,
    tiny_settings: Settings,
    own_data: dict[str, str],
    teachers: str,
    tiny_encoder: Path,
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    """On dev rows that neither has seen, and the teacher's weights are random: nothing but the teacher tells of them."""
    [path] = [teachers.replace("*", "1")]
    del own_data["predict_input_fp"]
    common = {"step_mode": step_mode, "num_epochs": 20, "learning_rate": 0.01, "save_steps": 0, "length_buckets": 1}
    common |= {"train_batch_size": 12, **own_data}
    alone = run_training(tiny_settings(model_dir=str(tmp_path / "alone"), **common)).model
    student = run_training(tiny_settings(model_dir=str(tmp_path / "student"), teacher=path, **common)).model
    teacher = stored_model_at(path).load()
    vocabulary = stored_model_at(path).folder.encoder_files.vocabulary
    data = read_task_data(str(tiny_data / "dev.list_tfrecord"), CONTEST_TASKS, vocabulary, tiny_encoder, None)
    far, near = (divergence(model, teacher, data) for model in (alone, student))
    print(f"KL to the teacher on the dev rows: alone {far:.3f}, taught {near:.3f}")
    assert near < 0.5 * far


def test_best_of_a_student_is_a_plain_model(
    tiny_settings: Settings, own_data: dict[str, str], teachers: str, tmp_path: Path
) -> None:
    plain, student = (tmp_path / name for name in ("plain", "student"))
    assert train.run(tiny_settings(model_dir=str(plain), **own_data)) == 0
    assert train.run(tiny_settings(model_dir=str(student), teacher=teachers, **own_data)) == 0
    assert [path.name for path in sorted((plain / "best").iterdir())] == [
        path.name for path in sorted((student / "best").iterdir())
    ]
    assert (plain / "best/tasks.json").read_bytes() == (student / "best/tasks.json").read_bytes()
    assert "unlabelled" not in read_json(student / "train_config.json")["data"]
    one, other = (load_exported(str(folder / "best"))[0] for folder in (plain, student))
    assert [variable.shape for variable in one.variables] == [variable.shape for variable in other.variables]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"teacher": None, "distillation_temperature": 3.0}, "has no effect with teacher None. Set --teacher to a value"),
        ({"folds_file": "f", "fold": 0, "predict_input_fp": None}, "teacher and folds_file do not go together"),
        ({"distillation_hard_share": 1.0}, "distillation_hard_share is 1, which leaves the teacher out"),
        ({"distribution_strategy": "MirroredStrategy"}, "teacher works without distribution_strategy only"),
        (
            {"distillation_hard_share": 0.0, "class_weights": "log", "focal_gamma": "tnews=1"},
            "class_weights, focal_gamma changes the labels' loss, which distillation_hard_share 0 leaves out",
        ),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], message: str, tiny_settings: Settings) -> None:
    with pytest.raises(UserError, match=message):
        check_settings(tiny_settings(**{"teacher": "t", **changes}))
