"""Alternating steps: the batch's task gets its weight, the others keep their part of the weighting's state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import batch_of, compiled, weighting_of

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.training.step import TrainStep
from easytransfer_mtl.weighting import Equal, Fixed

Build = Callable[..., TrainStep]
METHODS = ("equal", "fixed", "uncertainty", "imtl_l", "dwa", "dtp", "rlw")
"""Those that alternating steps can have."""


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(name: str, **settings: Any) -> TrainStep:
        weighting = weighting_of(name, "alternating", steps_per_epoch=100)
        return compiled(golden_model(), make_optimizer("adam", 1e-3, 0.0), weighting, **settings)

    return make


@pytest.mark.parametrize("name", METHODS)
def test_gradient_is_the_tasks_own_times_its_weight(name: str, build: Build) -> None:
    found, plain = (build(each).gradients_of(batch_of(1)) for each in (name, "equal"))
    for gradient, own in zip(found.gradients, plain.gradients, strict=True):
        expected = found.weights[1] * tf.convert_to_tensor(own)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l", "dwa", "dtp"])
def test_steps_of_one_task_leave_the_others_state(name: str, build: Build) -> None:
    step = build(name)
    before = [variable.numpy() for variable in step.weighting.variables]
    for _ in range(2):
        step(batch_of(1))
    moved = np.zeros(3, bool)
    for variable, value in zip(step.weighting.variables, before, strict=True):
        moved |= variable.numpy() != value
    assert moved.tolist() == [False, True, False]
    assert not {id(v) for v in step.weighting.variables} & {id(v) for v in step.model.trainable_variables}


def test_scale_heads_off_weighs_the_encoder_only(build: Build) -> None:
    steps = build("fixed"), build("fixed", scale_heads=False)
    found = [step.gradients_of(batch_of(0)).gradients for step in steps]
    for variable, both, encoder_only in zip(steps[0].model.trainable_variables, *found, strict=True):
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
    optimizer, weighting = make_optimizer("adam", 1e-2, 0.1), Fixed([1.0, 1.0, 0.0])
    step = compiled(golden_model(), optimizer, weighting, idle_heads=idle_heads)
    head = step.model.heads["ocnli_logits"]
    before = [variable.numpy() for variable in head.trainable_variables]
    for task in (2, 0, 2):
        step(batch_of(task))
    for variable, value in zip(head.trainable_variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_weighting_of_another_number_of_tasks_is_refused(golden_model: Callable[..., MultiTaskModel]) -> None:
    with pytest.raises(UserError, match="The weighting is for 2 tasks; the model has 3"):
        compiled(golden_model(), make_optimizer("adam", 1e-3, 0.0), Equal(2))
