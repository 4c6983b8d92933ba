"""Overlap and adversary: what they measure, and that no loss weight reaches them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import FGM, PGD, step_of

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing.penalties import TaskAdversary, overlap, reversed_gradient
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.weighting import IMTLG, MGDA, Equal, Fixed

Build, Batch = Callable[..., MultiTaskModel], Callable[..., dict[str, tf.Tensor]]
PENALTIES = {"adversarial_weight": 0.5, "orthogonality_weight": 2.0}


def rows(seed: int, width: int = 6) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=(5, width)), tf.float32)


def test_overlap_is_the_product_of_the_scaled_rows() -> None:
    shared, private = rows(0), rows(1, 4)
    one, other = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (shared.numpy(), private.numpy()))
    np.testing.assert_allclose(overlap(shared, private), np.linalg.norm(one.T @ other / 5) ** 2, rtol=1e-5)


def test_overlap_does_not_depend_on_scale_or_on_repeated_rows_and_is_at_most_one() -> None:
    shared, private = rows(0), rows(1)
    expected = overlap(shared, private)
    np.testing.assert_allclose(overlap(3.0 * shared, 0.1 * private), expected, rtol=1e-5)
    twice = (tf.tile(part, [2, 1]) for part in (shared, private))
    np.testing.assert_allclose(overlap(*twice), expected, rtol=1e-5)
    same = tf.tile(shared[:1], [5, 1])
    np.testing.assert_allclose(overlap(same, same), 1.0, rtol=1e-5)
    apart = tf.constant([[1.0, 0.0], [1.0, 0.0]]), tf.constant([[1.0, 2.0], [-1.0, -2.0]])
    assert float(overlap(*apart)) == 0.0


def test_the_adversary_learns_and_the_encoder_unlearns() -> None:
    adversary = TaskAdversary(6, 3, 0.5, DropoutClock(1))
    states, classifier = tf.Variable(rows(2)), adversary.classifier.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        loss = adversary.loss(states, 1)
        plain = -tf.reduce_mean(tf.nn.log_softmax(adversary.classifier(states))[:, 1])
    np.testing.assert_allclose(loss, plain, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, states), -0.5 * tape.gradient(plain, states), rtol=1e-5)
    for one, other in zip(tape.gradient(loss, classifier), tape.gradient(plain, classifier)):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert float(reversed_gradient(tf.constant(2.0), 3.0)) == 2.0


def test_the_penalty_pushes_the_private_part_but_the_adversary_does_not(
    build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    for options, reached in ((PENALTIES, True), ({**PENALTIES, "orthogonality_weight": 0.0}, False)):
        model = build_sharing("shared_private", **options)
        scatter(model)
        with tf.GradientTape() as tape:
            penalty = model.task_logits(batch_of(0), 0, training=True)[1]
        gradients = tape.gradient(penalty, [model.sharing.private[0].trainable_variables, model.encoder.trainable_variables])
        assert any(gradient is not None for gradient in gradients[0]) == reached
        assert all(gradient is not None for gradient in gradients[1])


def with_penalties(build_sharing: Build, scatter: Callable[..., None], **more: Any) -> MultiTaskModel:
    model = build_sharing("shared_private", **PENALTIES, **more)
    scatter(model)
    return model


def dense(gradients: list[Any]) -> list[np.ndarray]:
    return [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


@pytest.mark.parametrize("scale_heads", [True, False])
def test_weights_of_alternating_steps_scale_the_loss_alone(
    scale_heads: bool, build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    step = {"scale_heads": scale_heads}
    found = [
        dense(
            step_of(with_penalties(build_sharing, scatter, step=step, weighting=Fixed([weight, 1, 1])))
            .gradients_of(batch_of(0))
            .gradients
        )
        for weight in (1.0, 2.0, 4.0)
    ]
    model = with_penalties(build_sharing, scatter)
    with tf.GradientTape() as tape:
        penalty = model.task_logits(batch_of(0), 0, training=True)[1]
    of_penalty = tape.gradient(penalty, model.trainable_variables, unconnected_gradients="zero")
    shared = {id(variable) for variable in model.shared_variables}
    for place, variable in enumerate(model.trainable_variables):
        one, two, four = (gradients[place] for gradients in found)
        if id(variable) in shared or scale_heads:
            np.testing.assert_allclose(four - two, 2 * (two - one), rtol=1e-3, atol=1e-5, err_msg=variable.name)
            np.testing.assert_allclose(2 * one - two, tf.convert_to_tensor(of_penalty[place]), rtol=1e-3, atol=1e-5)
        else:
            np.testing.assert_allclose(four, one, rtol=1e-5, atol=1e-7, err_msg=variable.name)


@pytest.mark.parametrize("gram_variables", ["all", "pooler"])
@pytest.mark.parametrize("scale_heads", [True, False])
def test_gram_methods_add_the_penalty_once(
    scale_heads: bool, gram_variables: str, build_sharing: Build, batch_of: Batch, scatter: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    step, joint = {"scale_heads": scale_heads, "gram_variables": gram_variables}, {}
    for index, task in enumerate(CONTEST_TASKS):
        joint[task.name] = batch_of(index)
    told, seen = [], []
    for weighting in (Equal(3), MGDA(3)):
        if isinstance(weighting, MGDA):
            monkeypatch.setattr(weighting, "solve", lambda gram, losses, step: np.ones(3))
        model = with_penalties(build_sharing, scatter, step=step, weighting=weighting)
        model.optimizer.apply_gradients = lambda pairs, **more: seen.append({v.name: g.numpy() for g, v in pairs})
        told.append(model.train_step(joint))
    assert told[1]["weights"].numpy().tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(told[0]["penalty"], told[1]["penalty"], rtol=1e-6)
    for name, gradient in seen[0].items():
        np.testing.assert_allclose(seen[1][name], gradient, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("attack", [{}, FGM, PGD], ids=["none", "fgm", "pgd"])
def test_every_kind_of_step_counts_the_penalty_with_each_pass(
    attack: dict[str, Any], build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    one, batch = CONTEST_TASKS[:1], batch_of(0)
    kinds = [(Equal(1), batch), (Equal(1), {one[0].name: batch}), (IMTLG(1), {one[0].name: batch})]
    found = []
    for weighting, given in kinds:
        model = build_sharing("shared_private", orthogonality_weight=2.0, tasks=one, step=attack, weighting=weighting)
        scatter(model)
        before = [variable.numpy() for variable in model.trainable_variables]
        model.train_step(given)
        found.append([variable.numpy() - value for variable, value in zip(model.trainable_variables, before, strict=True)])
    for others in found[1:]:
        for variable, first, other in zip(model.trainable_variables, found[0], others, strict=True):
            np.testing.assert_allclose(other, first, rtol=1e-3, atol=1e-5, err_msg=variable.name)
