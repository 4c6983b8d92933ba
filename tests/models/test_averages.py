"""Moving averages: the same as a loop in Python, beside the model and out of its way."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.averages import WeightAverages
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.models.variables import own_variables
from easytransfer_mtl.runs.optimizers import make_optimizer

Build = Callable[..., MultiTaskModel]


@pytest.fixture(scope="module")
def build(golden_model: Build) -> Build:
    def make(decay: float | None, **options: object) -> MultiTaskModel:
        model = golden_model(options=StepOptions(**options))
        model.compile(optimizer=make_optimizer("adam", 0.01, 0.01))
        model.optimizer.build(model.trainable_variables)
        if decay:
            model.averages = WeightAverages(model.trainable_variables, decay)
        return model

    return make


def batch_of(task: int) -> dict[str, tf.Tensor]:
    ids = np.random.default_rng(task).integers(5, 20, (4, 6)).astype(np.int32)
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant([0, 1, 2, 0]), "task_id": tf.constant(task),
    }  # fmt: skip


@pytest.mark.parametrize("decay", [0.999, 0.2])
def test_averages_are_those_of_a_loop(decay: float, build: Build) -> None:
    model, plain = build(decay), build(None)
    expected = [variable.numpy().astype(float) for variable in model.trainable_variables]
    step, plain_step = tf.function(model.train_step), tf.function(plain.train_step)
    for number in range(5):
        step(batch_of(number % 3))
        plain_step(batch_of(number % 3))
        d = min(decay, (1 + number) / (10 + number))
        expected = [d * old + (1 - d) * new.numpy() for old, new in zip(expected, model.trainable_variables)]
    for average, value in zip(model.averages.averages, expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-5, atol=1e-7)
    for one, other in zip(model.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)  # the averages change nothing


def test_a_step_that_is_left_out_moves_no_average(build: Build) -> None:
    model = build(0.9, on_nonfinite="skip")
    model.heads["tnews_logits"].bias.assign([np.nan] * 15)
    before = [average.numpy() for average in model.averages.averages]
    assert bool(tf.function(model.train_step)(batch_of(0))["skipped"])
    for average, value in zip(model.averages.averages, before):
        np.testing.assert_array_equal(average, value)


def test_averages_take_the_weights_place_for_a_while(build: Build) -> None:
    model = build(0.9)
    model.train_step(batch_of(0))
    own = [variable.numpy() for variable in model.trainable_variables]
    with pytest.raises(ValueError), model.averages.in_place():
        for variable, average in zip(model.trainable_variables, model.averages.averages):
            np.testing.assert_array_equal(variable, average)
        assert any(np.any(variable != value) for variable, value in zip(model.trainable_variables, own))
        raise ValueError
    for variable, value in zip(model.trainable_variables, own):
        np.testing.assert_array_equal(variable, value)


def test_averages_are_no_weights_of_the_model(build: Build) -> None:
    model, plain = build(0.9), build(None)
    assert len(model.variables) == len(plain.variables) and len(model.trainable_variables) == len(plain.trainable_variables)
    assert own_variables(model).keys() == own_variables(plain).keys()


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(UserError, match="ema_decay is .*; it must be above 0 and below 1"):
        WeightAverages([tf.Variable(1.0)], decay)
