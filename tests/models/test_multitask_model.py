"""The model's own rules: accumulation, loss, task routing, overriding, weights, tracing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.models.alternating_step import gradients_of
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.tasks import CONTEST_TASKS, Task
from easytransfer_mtl.training.trainer import run_training
from easytransfer_mtl.weighting import Fixed

OWN_TASK = Task("Spam", ("idx", "text", "label"), "text", ("no", "yes"))


@pytest.fixture
def build(tiny_encoder: Path) -> Callable[..., MultiTaskModel]:
    """Builds a tiny model with plain gradient descent, without dropout unless told."""

    def build(tasks: tuple[Task, ...] = CONTEST_TASKS, **more: Any) -> MultiTaskModel:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
        for layer in encoder.submodules:
            if type(layer).__name__ == "SeededDropout":
                layer.rate = 0.0
        model = MultiTaskModel(encoder, tasks, **{"architecture": Architecture(head_dropout=0.0), **more})
        model.compile(optimizer=tf_keras.optimizers.SGD(0.5))
        return model

    return build


def batch_of(task: int, labels: list[int], length: int = 6) -> dict[str, tf.Tensor]:
    ids = np.random.default_rng(len(labels)).integers(5, 25, (len(labels), length)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[1, length - 2 :] = 0
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.constant(mask), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(labels), "task_id": tf.constant(task),
    }  # fmt: skip


def head_gradients(model: MultiTaskModel, batch: dict[str, tf.Tensor]) -> dict[str, float]:
    """Largest absolute gradient of each head, and of the encoder."""
    *_, gradients = gradients_of(model, batch)
    largest: dict[str, float] = {}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        part = variable.name.split("/")[0]
        largest[part] = max(largest.get(part, 0.0), float(tf.reduce_max(tf.abs(tf.convert_to_tensor(gradient)))))
    return largest


@pytest.mark.parametrize("parts, traced", [(2, True), (3, False)])
def test_accumulated_batches_are_one_big_batch(parts: int, traced: bool, build: Callable[..., MultiTaskModel]) -> None:
    batch, results = batch_of(1, [0, 1, 2, 3, 4, 5]), []
    for count in (1, parts):
        model = build(options=StepOptions(clip_norm=None, num_accumulated_batches=count))
        before = [variable.numpy() for variable in model.trainable_variables]
        outputs = (tf.function(model.train_step) if traced else model.train_step)(batch)
        moves = [variable.numpy() - old for variable, old in zip(model.trainable_variables, before, strict=True)]
        results.append((float(outputs["losses"][1]), moves))
    assert abs(results[0][0] - results[1][0]) < 1e-6
    assert max(np.abs(move).max() for move in results[0][1]) > 1e-2
    for one, accumulated in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(accumulated, one, rtol=0, atol=1e-7)


def test_accumulated_parts_have_dropout_masks_of_their_own(build: Callable[..., MultiTaskModel]) -> None:
    model = build(options=StepOptions(num_accumulated_batches=2), architecture=Architecture(head_dropout=0.5))
    seen = []
    model.build_loss = lambda logits, labels, task: (
        seen.append(model.encoder.clock.time.numpy()) or tf.reduce_sum(logits["ocnli_logits"])
    )
    gradients_of(model, batch_of(2, [0, 1, 2, 0]))
    model.optimizer.iterations.assign(1)
    gradients_of(model, batch_of(2, [0, 1, 2, 0]))
    assert seen == [0, 1, 2, 3]


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


def test_only_the_batchs_head_has_a_gradient(build: Callable[..., MultiTaskModel]) -> None:
    largest = head_gradients(build(), batch_of(1, [0, 1]))
    assert largest["ocemotion_dense"] > 0 and largest["bert"] > 0
    assert largest["tnews_dense"] == 0 == largest["ocnli_dense"]


def test_heads_start_by_their_name_whatever_the_tasks_order(build: Callable[..., MultiTaskModel]) -> None:
    one, other = build(), build(CONTEST_TASKS[::-1])
    for task in CONTEST_TASKS:
        np.testing.assert_array_equal(one.heads[task.logits_name].kernel, other.heads[task.logits_name].kernel)
        assert not np.any(one.heads[task.logits_name].bias) and np.abs(one.heads[task.logits_name].kernel).max() <= 0.04
    largest = head_gradients(other, batch_of(0, [0, 1]))
    assert largest["ocnli_dense"] > 0 == largest["tnews_dense"]


def test_unit_weights_leave_other_tasks_without_gradient(build: Callable[..., MultiTaskModel]) -> None:
    model = build(weighting=Fixed([0.0, 0.0, 1.0]))
    assert not any(head_gradients(model, batch_of(0, [0, 1])).values())
    assert head_gradients(model, batch_of(2, [0, 1])) == head_gradients(build(), batch_of(2, [0, 1]))


def test_fixed_weight_scales_the_gradient_but_not_the_logged_loss(build: Callable[..., MultiTaskModel]) -> None:
    batch = batch_of(2, [0, 1])
    (loss, *_, weights, _), (plain, *_) = (
        gradients_of(build(weighting=Fixed([1.0, 1.0, 4.0])), batch),
        gradients_of(build(), batch),
    )
    assert float(loss) == float(plain) and weights.numpy().tolist() == [1, 1, 4]
    largest, reference = head_gradients(build(weighting=Fixed([1.0, 1.0, 4.0])), batch), head_gradients(build(), batch)
    np.testing.assert_allclose(largest["ocnli_dense"], 4 * reference["ocnli_dense"], rtol=1e-6)


def test_frozen_layers_stay_and_the_rest_moves(build: Callable[..., MultiTaskModel]) -> None:
    model = build(options=StepOptions(num_frozen_layers=1))
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    model.train_step(batch_of(0, [0, 1]))
    moved = {
        v.name.split("/")[2]
        for v in model.trainable_variables
        if v.name.startswith("bert/encoder") and np.any(v != before[v.name])
    }
    assert moved == {"layer_._1"}
    assert np.any(model.encoder.embeddings.weight != before["bert/embeddings/word_embeddings/weight:0"])


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
    assert "tnews_logits" in trained.model.predict_step(batch_of(0, [0, 1]))
    prefix, again = checkpoint_steps(trained.folder.path)[6], build_model(trained.folder, Overridden)
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
    assert model.predict_step(batch_of(0, [0, 1]))["spam_probabilities"].shape == (2, 2)
