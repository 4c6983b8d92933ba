"""Heads of the tasks that a step does not train: ``skip`` leaves them and their slots, ``zero`` lets moments move them."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from steps import compiled

from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS

OPTIMIZERS = [("adam", 0.0), ("adam", 0.01), ("lamb", 0.01), ("adagrad", 0.0), ("adadelta", 0.0)]


class Heads(MultiTaskModel):
    """The model with a constant in the encoder's place and heads alone to train, which makes a step cheap."""

    def build_logits(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Every row's pooled output is 0, 1, 2, ... over the hidden size."""
        width = self.encoder.config.hidden_size
        pooled = tf.tile(tf.range(width, dtype=tf.float32)[tf.newaxis] / width, [tf.shape(features["input_ids"])[0], 1])
        return {name: head(pooled) for name, head in self.heads.items()}


@pytest.fixture(scope="module")
def encoder(golden_model: Callable[..., MultiTaskModel]) -> tf.Module:
    return golden_model().encoder


def build(encoder: tf.Module, idle_heads: str, optimizer: str, decay: float) -> tuple[MultiTaskModel, Callable[[int], None]]:
    """Builds the model, and what does a step of a task."""
    encoder.trainable = False
    model = Heads(encoder, CONTEST_TASKS, Architecture(head_dropout=0.0))
    traced = tf.function(compiled(model, make_optimizer(optimizer, 0.1, decay), idle_heads=idle_heads), autograph=False)

    def step(task: int) -> None:
        ids = tf.constant([[6, 9, 7], [6, 8, 7]])
        batch = {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids)}
        traced({**batch, "label_ids": tf.constant([1, 2]), "task_id": tf.constant(task)})

    return model, step


def state_of(model: MultiTaskModel, task: int) -> dict[str, np.ndarray]:
    """Head ``task``'s variables and slots by name."""
    head = model.heads[CONTEST_TASKS[task].logits_name]
    names = [variable.name for variable in head.trainable_variables]
    slots = [slot for slot in model.optimizer.variables if any(slot.name.endswith("/" + name) for name in names)]
    return {variable.name: variable.numpy() for variable in head.trainable_variables + slots}


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> list[str]:
    return [name for name in before if not np.array_equal(before[name], after[name])]


@pytest.mark.parametrize("optimizer, decay", OPTIMIZERS)
def test_skip_leaves_idle_heads_and_slots_bit_for_bit(optimizer: str, decay: float, encoder: tf.Module) -> None:
    model, step = build(encoder, "skip", optimizer, decay)
    for task in range(3):
        step(task)
    before = [state_of(model, task) for task in range(3)]
    assert all(len(state) == (4 if optimizer == "adagrad" else 6) for state in before)
    step(1)
    assert changed(before[0], state_of(model, 0)) == [] == changed(before[2], state_of(model, 2))
    assert sorted(changed(before[1], state_of(model, 1))) == sorted(before[1])


@pytest.mark.parametrize("optimizer, decay", [("adam", 0.0), ("adam", 0.01), ("lamb", 0.0)])
def test_zero_moves_idle_heads_on_their_moments(optimizer: str, decay: float, encoder: tf.Module) -> None:
    model, step = build(encoder, "zero", optimizer, decay)
    step(0)
    before = state_of(model, 0)
    step(1)
    assert sorted(changed(before, state_of(model, 0))) == sorted(before)


def test_zero_decays_adams_moments_exactly(encoder: tf.Module) -> None:
    model, step = build(encoder, "zero", "adam", 0.0)
    step(0)
    before = state_of(model, 0)
    step(1)
    after = state_of(model, 0)
    for slot, decay in (("m/tnews_dense/kernel:0", 0.9), ("v/tnews_dense/kernel:0", 0.98)):
        assert np.any(before[slot])
        np.testing.assert_allclose(after[slot], decay * before[slot], rtol=1e-6)


def test_step_of_a_task_is_the_same_either_way(encoder: tf.Module) -> None:
    heads = []
    for idle_heads in ("zero", "skip"):
        model, step = build(encoder, idle_heads, "adam", 0.0)
        step(2)
        heads.append(state_of(model, 2))
    assert changed(*heads) == []
