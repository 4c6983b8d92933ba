"""Steps of plain gradient descent: accumulated parts, whose head moves, what a weight scales, frozen layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled

from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS, Task
from easytransfer_mtl.training.step import Batch, TrainStep
from easytransfer_mtl.weighting import Fixed, TaskWeighting

Build = Callable[..., TrainStep]


@pytest.fixture
def build(tiny_encoder: Path) -> Build:
    """Builds a step of a tiny model, without dropout unless told."""

    def build(
        tasks: tuple[Task, ...] = CONTEST_TASKS,
        weighting: TaskWeighting | None = None,
        head_dropout: float = 0.0,
        **settings: Any,
    ) -> TrainStep:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
        for layer in encoder.submodules:
            if isinstance(layer, SeededDropout):
                layer.rate = 0.0
        model = MultiTaskModel(encoder, tasks, Architecture(head_dropout=head_dropout))
        return compiled(model, tf_keras.optimizers.SGD(0.5), weighting, **settings)

    return build


def batch_of(task: int, labels: list[int], length: int = 6) -> Batch:
    ids = np.random.default_rng(len(labels)).integers(5, 25, (len(labels), length)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[1, length - 2 :] = 0
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.constant(mask), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(labels), "task_id": tf.constant(task),
    }  # fmt: skip


def head_gradients(step: TrainStep, batch: Batch) -> dict[str, float]:
    """Largest absolute gradient of each head, and of the encoder."""
    gradients = step.gradients_of(batch).gradients
    largest: dict[str, float] = {}
    for variable, gradient in zip(step.model.trainable_variables, gradients, strict=True):
        part = variable.name.split("/")[0]
        largest[part] = max(largest.get(part, 0.0), float(tf.reduce_max(tf.abs(tf.convert_to_tensor(gradient)))))
    return largest


@pytest.mark.parametrize("parts, traced", [(2, True), (3, False)])
def test_accumulated_batches_are_one_big_batch(parts: int, traced: bool, build: Build) -> None:
    batch, results = batch_of(1, [0, 1, 2, 3, 4, 5]), []
    for count in (1, parts):
        step = build(gradient_clip=False, num_accumulated_batches=count)
        variables = step.model.trainable_variables
        before = [variable.numpy() for variable in variables]
        outputs = (tf.function(step, autograph=False) if traced and count > 1 else step)(batch)
        moves = [variable.numpy() - old for variable, old in zip(variables, before, strict=True)]
        results.append((float(outputs["losses"][1]), moves))
    assert abs(results[0][0] - results[1][0]) < 1e-6
    assert max(np.abs(move).max() for move in results[0][1]) > 1e-2
    for one, accumulated in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(accumulated, one, rtol=0, atol=1e-7)


def test_accumulated_parts_have_dropout_masks_of_their_own(build: Build) -> None:
    step = build(num_accumulated_batches=2, head_dropout=0.5)
    model, seen = step.model, []
    model.build_loss = lambda logits, labels, task: (
        seen.append(model.encoder.clock.time.numpy()) or tf.reduce_sum(logits["ocnli_logits"])
    )
    step.gradients_of(batch_of(2, [0, 1, 2, 0]))
    step.optimizer.iterations.assign(1)
    step.gradients_of(batch_of(2, [0, 1, 2, 0]))
    assert seen == [0, 1, 2, 3]


def test_only_the_batchs_head_has_a_gradient(build: Build) -> None:
    largest = head_gradients(build(), batch_of(1, [0, 1]))
    assert largest["ocemotion_dense"] > 0 and largest["bert"] > 0
    assert largest["tnews_dense"] == 0 == largest["ocnli_dense"]


def test_a_batchs_task_is_told_by_its_place_in_the_models_order(build: Build) -> None:
    largest = head_gradients(build(CONTEST_TASKS[::-1]), batch_of(0, [0, 1]))
    assert largest["ocnli_dense"] > 0 == largest["tnews_dense"]


def test_unit_weights_leave_other_tasks_without_gradient(build: Build) -> None:
    step = build(weighting=Fixed([0.0, 0.0, 1.0]))
    assert not any(head_gradients(step, batch_of(0, [0, 1])).values())
    assert head_gradients(step, batch_of(2, [0, 1])) == head_gradients(build(), batch_of(2, [0, 1]))


def test_fixed_weight_scales_the_gradient_but_not_the_logged_loss(build: Build) -> None:
    batch, step, plain = batch_of(2, [0, 1]), build(weighting=Fixed([1.0, 1.0, 4.0])), build()
    found = step.gradients_of(batch)
    assert float(found.loss) == float(plain.gradients_of(batch).loss) and found.weights.numpy().tolist() == [1, 1, 4]
    largest, reference = head_gradients(step, batch), head_gradients(plain, batch)
    np.testing.assert_allclose(largest["ocnli_dense"], 4 * reference["ocnli_dense"], rtol=1e-6)


def test_frozen_layers_stay_and_the_rest_moves(build: Build) -> None:
    step = build(num_freezed_layers=1)
    model = step.model
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    step(batch_of(0, [0, 1]))
    moved = {
        v.name.split("/")[2]
        for v in model.trainable_variables
        if v.name.startswith("bert/encoder") and np.any(v != before[v.name])
    }
    assert moved == {"layer_._1"}
    assert np.any(model.encoder.embeddings.weight != before["bert/embeddings/word_embeddings/weight:0"])
