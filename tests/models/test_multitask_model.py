"""The model's own rules: loss, first values of heads, overriding, tracing, tasks of one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import batch_of

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.tasks import CONTEST_TASKS, Task
from easytransfer_mtl.training.trainer import run_training

OWN_TASK = Task("Spam", ("idx", "text", "label"), "text", ("no", "yes"))


@pytest.fixture
def build(tiny_encoder: Path) -> Callable[..., MultiTaskModel]:
    """Builds a tiny model."""

    def build(tasks: tuple[Task, ...] = CONTEST_TASKS, **more: Any) -> MultiTaskModel:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
        return MultiTaskModel(encoder, tasks, **more)

    return build


@pytest.mark.parametrize("task", [0, 1, 2])
def test_loss_is_the_mean_cross_entropy_of_the_batchs_task(task: int, build: Callable[..., MultiTaskModel]) -> None:
    model, random = build(), np.random.default_rng(task)
    logits = {item.logits_name: random.normal(size=(4, item.num_labels)) * 3 for item in CONTEST_TASKS}
    labels = [0, 2, 1, 2]
    own = logits[CONTEST_TASKS[task].logits_name]
    expected = -np.mean([own[row, label] - np.log(np.exp(own[row]).sum()) for row, label in enumerate(labels)])
    found = model.build_loss(
        {k: tf.constant(v, tf.float32) for k, v in logits.items()}, tf.constant(labels), tf.constant(task)
    )
    assert found.shape == () and found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_task_may_have_a_loss_of_its_own_and_the_others_keep_theirs(build: Callable[..., MultiTaskModel]) -> None:
    own = TaskLoss(3, (0.5, 1.0, 2.0), label_smoothing=0.1, focal_gamma=2.0)
    model, plain, random = build(task_losses={"OCNLI": own}), build(), np.random.default_rng(0)
    values = {task.logits_name: random.normal(size=(4, task.num_labels)) for task in CONTEST_TASKS}
    logits = {name: tf.constant(value, tf.float32) for name, value in values.items()}
    labels = tf.constant([0, 2, 1, 2])
    found, expected = (
        [float(each.build_loss(logits, labels, tf.constant(task))) for task in range(3)] for each in (model, plain)
    )
    assert found[:2] == expected[:2] and found[2] == float(own(logits["ocnli_logits"], labels)) != expected[2]


def test_heads_start_by_their_name_whatever_the_tasks_order(build: Callable[..., MultiTaskModel]) -> None:
    one, other = build(), build(CONTEST_TASKS[::-1])
    for task in CONTEST_TASKS:
        np.testing.assert_array_equal(one.heads[task.logits_name].kernel, other.heads[task.logits_name].kernel)
        assert not np.any(one.heads[task.logits_name].bias) and np.abs(one.heads[task.logits_name].kernel).max() <= 0.04


def test_a_model_without_a_step_says_how_to_give_it_one(build: Callable[..., MultiTaskModel]) -> None:
    with pytest.raises(
        UserError, match=r"not compiled: call compile\(optimizer, TrainStep\(model, weighting, optimizer\)\)"
    ):
        build().train_step(batch_of(0))


class Overridden(MultiTaskModel):
    """A subclass that overrides everything that may be overridden, and counts tracings."""

    traced = 0

    def build_layers(self) -> None:
        """Adds a layer before the heads."""
        super().build_layers()
        self.between = tf_keras.layers.Dense(self.encoder.config.hidden_size, activation="relu", name="between")
        self.between.build((None, self.encoder.config.hidden_size))

    def build_logits(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Heads on mean-pooled states through the added layer."""
        type(self).traced += training
        states, _ = self.encoder.encode(
            *(features[name] for name in ("input_ids", "input_mask", "segment_ids")), training=training
        )
        return {name: head(self.between(tf.reduce_mean(states, axis=1))) for name, head in self.heads.items()}

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Twice the original's."""
        return 2.0 * super().build_loss(logits, label_ids, task_id)

    def build_predictions(self, logits: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Adds the logits."""
        return {**super().build_predictions(logits), **logits}


def test_subclass_that_overrides_everything_trains_without_retracing(tiny_settings: Callable[..., Any]) -> None:
    Overridden.traced = 0
    trained = run_training(tiny_settings(learning_rate=0.05, warmup_ratio=0.0), Overridden)
    assert isinstance(trained.model, Overridden) and int(trained.model.optimizer.iterations) == 6
    assert np.any(trained.model.between.bias)
    rows = (trained.folder.path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert abs(float(rows[1].split(",")[2]) / 2 - np.log(15)) < 0.2
    # Six steps of three tasks and several batch lengths: one tracing of the step serves all.
    assert Overridden.traced == 1
    assert "tnews_logits" in trained.model.predict_step(batch_of(0, rows=2))
    prefix, again = checkpoint_steps(trained.folder.path)[6], build_model(trained.folder, ModelClass(Overridden))
    Weights((prefix,)).restore(again)
    np.testing.assert_array_equal(again.between.kernel, trained.model.between.kernel)
    with pytest.raises(UserError, match="MultiTaskModel has .* it is of another model class"):
        Weights((prefix,)).restore(MultiTaskModel(again.encoder, again.tasks))
    with pytest.raises(UserError, match="trained with the class Overridden"):
        build_model(trained.folder)


def test_own_task_beside_the_contests(
    tiny_settings: Callable[..., Any], convert_rows: Callable[..., Path], tmp_path: Path
) -> None:

    tasks = (OWN_TASK, *CONTEST_TASKS)
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [task.to_json() for task in tasks]}), encoding="utf-8")
    names = [str(convert_rows(tmp_path / f"{task.name}.tfrecord", task, 8)) for task in (CONTEST_TASKS[2], OWN_TASK)]
    (tmp_path / "train.list_tfrecord").write_text("\n".join(names), encoding="utf-8")
    settings = tiny_settings(train_input_fp=str(tmp_path / "train.list_tfrecord"), tasks_file=str(tmp_path / "tasks.json"))
    model = run_training(settings).model
    assert [task.name for task in model.tasks] == ["OCNLI", "Spam"]
    assert model.heads["spam_logits"].kernel.shape == (8, 2) and np.any(model.heads["spam_logits"].bias)
    assert model.predict_step(batch_of(0, rows=2))["spam_probabilities"].shape == (2, 2)
