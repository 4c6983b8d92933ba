"""R-Drop: the paper's formula, and steps that go along its gradient, whatever the model's own logits and loss."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import batch_of, compiled

from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.rdrop import disagreement, twice
from easytransfer_mtl.training.step import Forward, TrainStep

ALPHA = 3.0
Build = Callable[..., TrainStep]


class Own(MultiTaskModel):
    """A subclass with logits and a loss of its own."""

    def build_logits(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Twice the pooled output's."""
        return {name: 2.0 * value for name, value in super().build_logits(features, training).items()}

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """One more than the mean cross entropy."""
        return 1.0 + super().build_loss(logits, label_ids, task_id)


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(alpha: float = ALPHA, dropout: float = 0.5) -> TrainStep:
        model = golden_model()
        model.dropout.rate = dropout
        return compiled(model, tf_keras.optimizers.SGD(0.1), gradient_clip=False, rdrop_alpha=alpha)

    return make


def forward(step: TrainStep, task: int) -> Forward:
    return step._forward(batch_of(task), tf.constant(task), tf.constant(0, tf.int64))


def test_disagreement_is_the_symmetric_divergence() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, 4)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p, q = probabilities[:3], probabilities[3:]
    expected = ((p * np.log(p / q)).sum(axis=1) + (q * np.log(q / p)).sum(axis=1)).mean()
    assert float(disagreement(tf.constant(logits, tf.float32), TaskLoss(4))) == pytest.approx(expected, rel=1e-5)
    assert float(disagreement(tf.constant(np.concatenate([p, p]), tf.float32), TaskLoss(4))) == 0.0


def test_disagreement_of_several_looks_is_the_mean_of_theirs() -> None:
    looks = np.random.default_rng(1).normal(size=(3, 8, 5)).astype(np.float32)
    each = [float(disagreement(tf.constant(look), TaskLoss(5))) for look in looks]
    assert float(disagreement(tf.constant(looks), TaskLoss(5))) == pytest.approx(np.mean(each), rel=1e-5)


def test_disagreement_is_finite_where_the_passes_are_sure_of_different_labels() -> None:
    logits = tf.Variable([[300.0, 0.0], [0.0, 300.0]])
    with tf.GradientTape() as tape:
        value = disagreement(logits, TaskLoss(2))
    assert float(value) == pytest.approx(600.0) and np.isfinite(tape.gradient(value, logits)).all()


def test_objective_is_the_papers_and_the_loss_the_mean_of_both_passes(build: Build) -> None:
    step, batch = build(), batch_of(1)
    found = forward(step, 1)
    logits = step.model.build_logits(twice(batch), training=True)["ocemotion_logits"].numpy().astype(float)
    assert np.abs(logits[:4] - logits[4:]).max() > 1e-3  # masks of their own
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    p, q, labels = logs[:4], logs[4:], batch["label_ids"].numpy()
    losses = np.array([-(part[np.arange(4), labels]) for part in (p, q)])
    kl = [(np.exp(a) * (a - b)).sum(axis=1) for a, b in ((p, q), (q, p))]
    assert float(found.loss) == pytest.approx(losses.mean(), rel=1e-5)
    # equation 3 sums the two passes' losses; ours is half of it
    assert float(found.objective) == pytest.approx((losses.sum(axis=0) + ALPHA / 2 * sum(kl)).mean() / 2, rel=1e-5)


def test_without_dropout_both_passes_are_one(build: Build) -> None:
    found, plain = forward(build(dropout=0.0), 0), forward(build(alpha=0.0, dropout=0.0), 0)
    np.testing.assert_allclose([found.loss, found.objective], [plain.loss] * 2, rtol=1e-6)
    assert plain.loss is plain.objective


@pytest.mark.parametrize("step_mode", ["alternating", "joint"])
def test_without_dropout_a_step_is_the_step_without_rdrop_its_norm_for_clipping_included(
    step_mode: str, build: Build
) -> None:
    batches = {task.name: batch_of(index, 3 + index) for index, task in enumerate(CONTEST_TASKS)}
    batch = batches if step_mode == "joint" else batches["TNEWS"]
    norms = []
    for step in (tf.function(build(ALPHA, dropout=0.0), autograph=False), build(0.0, dropout=0.0)):
        norms.append(float(step(batch)["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("step_mode", ["alternating", "joint"])
@pytest.mark.parametrize("model_class", [MultiTaskModel, Own])
def test_steps_are_a_loop_written_by_hand(step_mode: str, model_class: type[MultiTaskModel], build: Build) -> None:
    ours, by_hand = build(), build().model
    for model in (ours.model, by_hand):
        model.__class__ = model_class
    batches = {task.name: batch_of(index, 3 + index) for index, task in enumerate(CONTEST_TASKS)}
    used = batches if step_mode == "joint" else {"OCNLI": batches["OCNLI"]}
    result = tf.function(ours, autograph=False)(batches if step_mode == "joint" else batches["OCNLI"])
    losses = []
    with tf.GradientTape() as tape:
        objectives = []
        for batch in used.values():
            index = int(batch["task_id"])
            by_hand.encoder.clock.time.assign(index if step_mode == "joint" else 0)
            logits = by_hand.build_logits(twice(batch), training=True)
            losses.append(by_hand.build_loss(logits, tf.tile(batch["label_ids"], [2]), tf.constant(index)))
            p, q = tf.split(tf.nn.softmax(logits[CONTEST_TASKS[index].logits_name]), 2)
            kl = tf.reduce_sum(p * tf.math.log(p / q) + q * tf.math.log(q / p), axis=1)
            objectives.append(losses[-1] + ALPHA / 4 * tf.reduce_mean(kl))
        total = tf.add_n(objectives)
    variables = by_hand.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(total, variables)):
        if gradient is not None:
            variable.assign_sub(0.1 * tf.convert_to_tensor(gradient))
    for mine, other in zip(ours.model.trainable_variables, variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6, err_msg=mine.name)
    np.testing.assert_allclose(sum(result["losses"]), sum(losses), rtol=1e-5)  # logs show the loss without R-Drop's term
