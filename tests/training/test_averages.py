"""Moving averages: the same as a loop in Python, beside the model and out of its way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import batch_of, compiled

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import own_variables
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.training.averages import WeightAverages
from easytransfer_mtl.training.step import TrainStep

Build = Callable[..., TrainStep]


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(decay: float, **settings: Any) -> TrainStep:
        return compiled(golden_model(), make_optimizer("adam", 0.01, 0.01), ema_decay=decay, **settings)

    return make


@pytest.mark.parametrize("decay", [0.999, 0.2])
def test_averages_are_those_of_a_loop(decay: float, build: Build) -> None:
    step, plain = build(decay), build(0.0)
    model, averages = step.model, step.averages.averages
    expected = [variable.numpy().astype(float) for variable in model.trainable_variables]
    steps = [tf.function(each, autograph=False) for each in (step, plain)]
    for number in range(5):
        for each in steps:
            each(batch_of(number % 3))
        d = min(decay, (1 + number) / (10 + number))
        expected = [d * old + (1 - d) * new.numpy() for old, new in zip(expected, model.trainable_variables)]
    for average, value in zip(averages, expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-5, atol=1e-7)
    assert plain.averages is None
    for one, other in zip(model.trainable_variables, plain.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)  # the averages change nothing


def test_a_step_that_is_left_out_moves_no_average(build: Build) -> None:
    step = build(0.9, on_nonfinite="skip")
    step.model.heads["tnews_logits"].bias.assign([np.nan] * 15)
    before = [average.numpy() for average in step.averages.averages]
    assert bool(tf.function(step, autograph=False)(batch_of(0))["skipped"])
    for average, value in zip(step.averages.averages, before):
        np.testing.assert_array_equal(average, value)


def test_averages_take_the_weights_place_for_a_while(build: Build) -> None:
    step = build(0.9)
    step(batch_of(0))
    variables, averages = step.model.trainable_variables, step.averages
    own = [variable.numpy() for variable in variables]
    with pytest.raises(ValueError), averages.in_place():
        for variable, average in zip(variables, averages.averages):
            np.testing.assert_array_equal(variable, average)
        assert any(np.any(variable != value) for variable, value in zip(variables, own))
        raise ValueError
    for variable, value in zip(variables, own):
        np.testing.assert_array_equal(variable, value)


def test_averages_are_no_weights_of_the_model(build: Build) -> None:
    model, plain = build(0.9).model, build(0.0).model
    assert len(model.variables) == len(plain.variables) and len(model.trainable_variables) == len(plain.trainable_variables)
    assert own_variables(model).keys() == own_variables(plain).keys()


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(UserError, match="ema_decay is .*; it must be above 0 and below 1"):
        WeightAverages([tf.Variable(1.0)], decay)
