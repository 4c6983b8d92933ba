"""Attacks: their formulas, steps against loops written by hand, and embeddings that come back bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import FGM, PGD, batch_of, compiled

from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.adversarial import Adversary, make_adversary
from easytransfer_mtl.training.step import Batch, Batches, TrainStep
from easytransfer_mtl.weighting import Fixed, TaskWeighting, Uncertainty, UPGrad

ONE, SEVERAL = Adversary(1, 0.7, 0.7), Adversary(2, 0.4, 0.6)
ATTACKS = {"fgm": (FGM, ONE), "pgd": (PGD, SEVERAL)}
"""As settings name them, and what these are."""
Build = Callable[..., TrainStep]


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(
        attack: dict[str, Any], weighting: TaskWeighting | None = None, rate: float = 0.1, **settings: Any
    ) -> TrainStep:
        model = golden_model()
        model.dropout.rate = 0.3
        return compiled(model, tf_keras.optimizers.SGD(rate), weighting, gradient_clip=False, **attack, **settings)

    return make


def few_tokens(task: int, rows: int = 4, seed: int = 0) -> Batch:
    return batch_of(task, rows, seed, vocabulary=14)


def batches(seed: int = 0) -> Batches:
    return {task.name: few_tokens(index, 3 + index, seed) for index, task in enumerate(CONTEST_TASKS)}


def gradients_by_hand(model: MultiTaskModel, objective: Callable[[], tf.Tensor], adversary: Adversary) -> list[np.ndarray]:
    """The clean gradients plus those of the last attacked pass, dense, written without anything of ours."""
    variables, table = model.trainable_variables, model.encoder.embeddings.weight

    def gradients() -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            value = objective()
        found = tape.gradient(value, variables)
        return [np.zeros(v.shape) if g is None else tf.convert_to_tensor(g).numpy() for g, v in zip(found, variables)]

    place = next(index for index, variable in enumerate(variables) if variable is table)
    start, clean = table.numpy(), gradients()
    attacked, attack = clean, np.zeros_like(start)
    for _ in range(adversary.steps):
        attack = attack + adversary.step_size * attacked[place] / np.linalg.norm(attacked[place])
        size = np.linalg.norm(attack)
        if size > adversary.radius:
            attack = attack / size * adversary.radius
        table.assign(start + attack)
        attacked = gradients()
    table.assign(start)
    return [one + other for one, other in zip(clean, attacked)]


def loss_of(model: MultiTaskModel, batch: Batch, time: int) -> tf.Tensor:
    model.encoder.clock.time.assign(time)
    logits = model.build_logits(batch, training=True)
    return model.build_loss(logits, batch["label_ids"], batch["task_id"])


def test_one_step_is_the_gradient_at_its_length_and_several_stay_in_the_ball() -> None:
    gradient = tf.constant([[3.0, 0.0], [0.0, 4.0]])
    zero = tf.zeros_like(gradient)
    np.testing.assert_allclose(ONE.moved(zero, gradient), 0.7 * gradient / 5.0, rtol=1e-6)
    first = SEVERAL.moved(zero, gradient)
    np.testing.assert_allclose(first, 0.4 * gradient / 5.0, rtol=1e-6)
    second = SEVERAL.moved(first, gradient)  # 0.8 long, cut to 0.6
    np.testing.assert_allclose(second, 0.6 * gradient / 5.0, rtol=1e-6)
    back = SEVERAL.moved(second, -gradient)
    np.testing.assert_allclose(back, 0.2 * gradient / 5.0, rtol=1e-5)


def test_one_step_that_is_longer_than_the_norm_is_cut() -> None:
    gradient = tf.constant([[3.0, 0.0], [0.0, 4.0]])
    for step_size, length in ((0.5, 0.2), (0.1, 0.1)):
        moved = Adversary(1, step_size, 0.2).moved(tf.zeros_like(gradient), gradient)
        np.testing.assert_allclose(moved, length * gradient / 5, rtol=1e-6)


@pytest.mark.parametrize("adversary", [ONE, SEVERAL])
def test_no_gradient_is_no_attack(adversary: Adversary) -> None:
    np.testing.assert_array_equal(adversary.moved(tf.zeros((2, 3)), tf.zeros((2, 3))), 0.0)


@pytest.mark.parametrize("values", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, 0.0)])
def test_attack_without_length_is_an_error(values: tuple[int, float, float]) -> None:
    with pytest.raises(UserError, match="adversarial training needs 1 step or more"):
        Adversary(*values)


def test_settings_name_the_attacks() -> None:
    assert make_adversary(StepSettings()) is None
    assert all(make_adversary(StepSettings(**settings)) == adversary for settings, adversary in ATTACKS.values())


@pytest.mark.parametrize(("attack", "apart"), [("fgm", False), ("pgd", True)])
def test_alternating_steps_are_a_loop_written_by_hand(attack: str, apart: bool, build: Build) -> None:
    settings, adversary = ATTACKS[attack]
    ours, by_hand = build(settings), build({}).model
    ours.model.sharing.encodes_apart = apart  # the graph then learns only when it runs which task's part to compute
    step = tf.function(ours, autograph=False) if apart else ours
    for number in range(3):
        batch = few_tokens(number, seed=number)
        step(batch)
        gradients = gradients_by_hand(by_hand, lambda batch=batch, time=number: loss_of(by_hand, batch, time), adversary)
        for variable, gradient in zip(by_hand.trainable_variables, gradients):
            variable.assign_sub(0.1 * gradient)
    for mine, other in zip(ours.model.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-5, err_msg=mine.name)


@pytest.mark.parametrize(("attack", "scale_heads"), [("fgm", True), ("pgd", False)])
def test_joint_steps_attack_the_weighted_sum(attack: str, scale_heads: bool, build: Build) -> None:
    weights, (settings, adversary) = [2.0, 0.5, 1.0], ATTACKS[attack]
    ours, by_hand = build(settings, Fixed(weights), scale_heads=scale_heads), build({}).model
    ours(batches())

    def objective() -> tf.Tensor:
        return tf.add_n([w * loss_of(by_hand, b, time) for time, (w, b) in enumerate(zip(weights, batches().values()))])

    gradients = gradients_by_hand(by_hand, objective, adversary)
    for variable, gradient in zip(by_hand.trainable_variables, gradients):
        own = [weight for task, weight in zip(CONTEST_TASKS, weights) if task.head_name in variable.name]
        variable.assign_sub(0.1 * gradient / (own[0] if own and not scale_heads else 1.0))
    for mine, other in zip(ours.model.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5, err_msg=mine.name)


def test_gram_methods_attack_each_task_for_itself(build: Build) -> None:
    step, by_hand = build(FGM, UPGrad(3)), build({}).model
    read = {variable.name for variable in step.gram_variables}
    result = step(batches())
    flat = []
    for time, batch in enumerate(batches().values()):
        gradients = gradients_by_hand(by_hand, lambda batch=batch, time=time: loss_of(by_hand, batch, time), ONE)
        pairs = zip(by_hand.trainable_variables, gradients)
        flat.append(np.concatenate([gradient.ravel() for variable, gradient in pairs if variable.name in read]))
    np.testing.assert_allclose(result["gram"], np.array(flat) @ np.array(flat).T, rtol=1e-3, atol=1e-6)


def test_gram_of_some_variables_is_of_the_clean_losses(build: Build) -> None:
    step, clean = (build(attack, UPGrad(3), gram_variables="pooler") for attack in (FGM, {}))
    grams = [one(batches())["gram"] for one in (step, clean)]
    np.testing.assert_allclose(*grams, rtol=1e-5)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(step.model.get_weights(), clean.model.get_weights()))


@pytest.mark.parametrize(("weighting", "attack"), [(Uncertainty, PGD), (UPGrad, FGM)], ids=["uncertainty", "upgrad"])
def test_embeddings_come_back_bit_for_bit(weighting: type[TaskWeighting], attack: dict[str, Any], build: Build) -> None:
    step = build(attack, weighting(3), rate=0.0)
    table, traced = step.model.encoder.word_embeddings, tf.function(step, autograph=False)
    before = table.numpy()
    for number in range(2):
        traced(few_tokens(number) if weighting is Uncertainty else batches(number))
    np.testing.assert_array_equal(table.numpy().view(np.int32), before.view(np.int32))


def test_accumulated_parts_are_attacked_each_for_itself(build: Build) -> None:
    step, by_hand = build(FGM, num_accumulated_batches=2), build({}).model
    batch = few_tokens(1, rows=6)
    found = tf.function(step.gradients_of, autograph=False)(batch).gradients
    halves = []
    for part in (0, 1):
        half = {name: value if name == "task_id" else value[3 * part : 3 * part + 3] for name, value in batch.items()}
        halves.append(gradients_by_hand(by_hand, lambda half=half, part=part: loss_of(by_hand, half, part), ONE))
    for variable, one, first, second in zip(step.model.trainable_variables, found, *halves, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), (first + second) / 2, atol=2e-6, err_msg=variable.name)


def test_task_of_weight_zero_makes_no_attack(build: Build) -> None:
    step = build(FGM, Fixed([0.0, 1.0, 1.0]))
    before = [variable.numpy() for variable in step.model.trainable_variables]
    step(few_tokens(0))
    for variable, value in zip(step.model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_loss_that_is_no_number_leaves_the_embeddings_as_they_were(build: Build) -> None:
    step = build(PGD, on_nonfinite="skip")
    before = step.model.encoder.word_embeddings.numpy()
    step.model.heads["tnews_logits"].bias.assign([np.nan] * 15)
    assert bool(tf.function(step, autograph=False)(few_tokens(0))["skipped"])
    np.testing.assert_array_equal(step.model.encoder.word_embeddings, before)


@pytest.mark.parametrize(("attack", "passes"), [({}, 1), (FGM, 2), (PGD, 3)], ids=["none", "fgm", "pgd"])
def test_each_attack_is_a_pass_and_without_one_the_gradients_are_what_they_were(
    attack: dict[str, Any], passes: int, build: Build
) -> None:
    step = build(attack)
    table, plain, times = step.model.encoder.word_embeddings, step.model.build_logits, []

    def build_logits(features: Batch, training: bool = False) -> dict[str, tf.Tensor]:
        times.append(step.model.encoder.clock.time.numpy())
        return plain(features, training)

    step.model.build_logits = build_logits
    pairs = zip(step.model.trainable_variables, step.gradients_of(few_tokens(0)).gradients, strict=True)
    of_table = next(gradient for variable, gradient in pairs if variable is table)
    assert times == [0] * passes and isinstance(of_table, tf.IndexedSlices) == (not attack)


def test_embeddings_that_are_not_trained_are_an_error(build: Build) -> None:
    step = build(FGM)
    model, attack = step.model, "attacks the word embeddings, which this model does not train"
    model.encoder.embeddings.trainable = False
    try:
        with pytest.raises(UserError, match=attack):
            step(few_tokens(0))
        with pytest.raises(UserError, match=attack):
            TrainStep(model, step.weighting, step.optimizer, step.settings)
    finally:
        model.encoder.embeddings.trainable = True


def test_embeddings_that_no_loss_depends_on_are_an_error(build: Build) -> None:
    step = build(FGM)
    step.model.build_logits = lambda features, training=False: {
        name: head(tf.ones((4, step.model.encoder.config.hidden_size))) for name, head in step.model.heads.items()
    }
    with pytest.raises(UserError, match="attacks the word embeddings, which no loss of this model depends on"):
        step(few_tokens(0))
