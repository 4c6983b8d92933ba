"""Alternating steps: the batch's task gets its weight, the others keep their part of the weighting's state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.alternating_step import gradients_of
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.weighting import Equal, Fixed, TaskWeighting

METHODS = ("equal", "fixed", "uncertainty", "imtl_l", "dwa", "dtp", "rlw")
"""Those that alternating steps can have."""


def batch_of(task: int) -> dict[str, tf.Tensor]:
    ids = tf.constant(np.random.default_rng(task).integers(5, 25, (4, 6)), tf.int32)
    mask, labels = tf.ones_like(ids), tf.constant([0, 1, 2, 0])
    features = {"input_ids": ids, "input_mask": mask, "segment_ids": tf.zeros_like(ids)}
    return {**features, "label_ids": labels, "task_id": tf.constant(task)}


@pytest.fixture(scope="module")
def build(
    golden_model: Callable[..., MultiTaskModel], weighting_of: Callable[..., TaskWeighting]
) -> Callable[..., MultiTaskModel]:
    def make(name: str, **options: Any) -> MultiTaskModel:
        model = golden_model(
            weighting=weighting_of(name, "alternating", steps_per_epoch=100), options=StepOptions(**options)
        )
        model.compile(optimizer=make_optimizer("adam", 1e-3, 0.0))
        model.optimizer.build(model.trainable_variables)
        return model

    return make


@pytest.mark.parametrize("name", METHODS)
def test_gradient_is_the_tasks_own_times_its_weight(name: str, build: Callable[..., MultiTaskModel]) -> None:
    (*_, weights, found), (*_, plain) = gradients_of(build(name), batch_of(1)), gradients_of(build("equal"), batch_of(1))
    for gradient, own in zip(found, plain, strict=True):
        expected = weights[1] * tf.convert_to_tensor(own)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l", "dwa", "dtp"])
def test_steps_of_one_task_leave_the_others_state(name: str, build: Callable[..., MultiTaskModel]) -> None:
    model = build(name)
    before = [variable.numpy() for variable in model.weighting.variables]
    for _ in range(2):
        model.train_step(batch_of(1))
    moved = np.zeros(3, bool)
    for variable, value in zip(model.weighting.variables, before, strict=True):
        moved |= variable.numpy() != value
    assert moved.tolist() == [False, True, False]
    assert not {id(v) for v in model.weighting.variables} & {id(v) for v in model.trainable_variables}


def test_scale_heads_off_weighs_the_encoder_only(build: Callable[..., MultiTaskModel]) -> None:
    scaled, model = build("fixed"), build("fixed", scale_heads=False)
    pairs = zip(scaled.trainable_variables, gradients_of(scaled, batch_of(0))[-1], gradients_of(model, batch_of(0))[-1])
    for variable, both, encoder_only in pairs:
        factor = 2.0 if variable.name.startswith("tnews_dense") else 1.0
        np.testing.assert_allclose(
            tf.convert_to_tensor(both),
            factor * tf.convert_to_tensor(encoder_only),
            rtol=1e-5,
            atol=1e-8,
            err_msg=variable.name,
        )


@pytest.mark.parametrize("idle_heads", ["zero", "skip"])
def test_a_task_of_weight_zero_leaves_its_head_alone(idle_heads: str, golden_model: Callable[..., MultiTaskModel]) -> None:
    model = golden_model(weighting=Fixed([1.0, 1.0, 0.0]), options=StepOptions(idle_heads=idle_heads))
    model.compile(optimizer=make_optimizer("adam", 1e-2, 0.1))
    model.optimizer.build(model.trainable_variables)
    head = model.heads["ocnli_logits"]
    before = [variable.numpy() for variable in head.trainable_variables]
    for task in (2, 0, 2):
        model.train_step(batch_of(task))
    for variable, value in zip(head.trainable_variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_weighting_of_another_number_of_tasks_is_refused(golden_model: Callable[..., MultiTaskModel]) -> None:
    with pytest.raises(UserError, match="The weighting is for 2 tasks; the model has 3"):
        golden_model(weighting=Equal(2))
