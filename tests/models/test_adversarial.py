"""Attacks: their formulas, steps against loops written by hand, and embeddings that come back bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.adversarial import Adversary, with_attack
from easytransfer_mtl.models.alternating_step import gradients_of
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.weighting import Fixed, TaskWeighting, Uncertainty, UPGrad

FGM, PGD = Adversary(1, 0.7, 0.7), Adversary(2, 0.4, 0.6)
Build = Callable[..., MultiTaskModel]


@pytest.fixture(scope="module")
def build(golden_model: Build) -> Build:
    def make(
        adversary: Adversary | None, weighting: TaskWeighting | None = None, dropout: float = 0.3, rate: float = 0.1,
        **options: object,
    ) -> MultiTaskModel:  # fmt: skip
        options = StepOptions(**{"clip_norm": None, **options}, adversary=adversary)
        model = golden_model(options=options, weighting=weighting)
        model.dropout.rate = dropout
        model.compile(optimizer=tf_keras.optimizers.SGD(rate))
        model.optimizer.build(model.trainable_variables)
        return model

    return make


def batch_of(task: int, rows: int = 4, seed: int = 0) -> dict[str, tf.Tensor]:
    ids = np.random.default_rng(10 * seed + task).integers(5, 14, (rows, 6)).astype(np.int32)  # tokens come repeatedly
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(np.arange(rows, dtype=np.int32) % 3), "task_id": tf.constant(task),
    }  # fmt: skip


def batches_of(seed: int = 0) -> dict[str, dict[str, tf.Tensor]]:
    return {task.name: batch_of(index, 3 + index, seed) for index, task in enumerate(CONTEST_TASKS)}


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


def loss_of(model: MultiTaskModel, batch: dict[str, tf.Tensor], time: int) -> tf.Tensor:
    model.encoder.clock.time.assign(time)
    logits = model.build_logits(batch, training=True)
    return model.build_loss(logits, batch["label_ids"], batch["task_id"])


def test_one_step_is_the_gradient_at_its_length_and_several_stay_in_the_ball() -> None:
    gradient = tf.constant([[3.0, 0.0], [0.0, 4.0]])
    zero = tf.zeros_like(gradient)
    np.testing.assert_allclose(FGM.moved(zero, gradient), 0.7 * gradient / 5.0, rtol=1e-6)
    first = PGD.moved(zero, gradient)
    np.testing.assert_allclose(first, 0.4 * gradient / 5.0, rtol=1e-6)
    second = PGD.moved(first, gradient)  # 0.8 long, cut to 0.6
    np.testing.assert_allclose(second, 0.6 * gradient / 5.0, rtol=1e-6)
    back = PGD.moved(second, -gradient)
    np.testing.assert_allclose(back, 0.2 * gradient / 5.0, rtol=1e-5)


def test_one_step_that_is_longer_than_the_norm_is_cut() -> None:
    gradient = tf.constant([[3.0, 0.0], [0.0, 4.0]])
    for step_size, length in ((0.5, 0.2), (0.1, 0.1)):
        moved = Adversary(1, step_size, 0.2).moved(tf.zeros_like(gradient), gradient)
        np.testing.assert_allclose(moved, length * gradient / 5, rtol=1e-6)


@pytest.mark.parametrize("adversary", [FGM, PGD])
def test_no_gradient_is_no_attack(adversary: Adversary) -> None:
    np.testing.assert_array_equal(adversary.moved(tf.zeros((2, 3)), tf.zeros((2, 3))), 0.0)


@pytest.mark.parametrize("values", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, 0.0)])
def test_attack_without_length_is_an_error(values: tuple[int, float, float]) -> None:
    with pytest.raises(UserError, match="adversarial training needs 1 step or more"):
        Adversary(*values)


@pytest.mark.parametrize(("adversary", "apart"), [(FGM, False), (PGD, True)], ids=["fgm", "pgd"])
def test_alternating_steps_are_a_loop_written_by_hand(adversary: Adversary, apart: bool, build: Build) -> None:
    ours, by_hand = build(adversary), build(None)
    ours.sharing.encodes_apart = apart  # the graph then learns only when it runs which task's part to compute
    step = tf.function(ours.train_step) if apart else ours.train_step
    for number in range(3):
        batch = batch_of(number, seed=number)
        step(batch)
        gradients = gradients_by_hand(by_hand, lambda batch=batch, time=number: loss_of(by_hand, batch, time), adversary)
        for variable, gradient in zip(by_hand.trainable_variables, gradients):
            variable.assign_sub(0.1 * gradient)
    for mine, other in zip(ours.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-5, err_msg=mine.name)


@pytest.mark.parametrize(("adversary", "scale_heads"), [(FGM, True), (PGD, False)], ids=["fgm", "pgd"])
def test_joint_steps_attack_the_weighted_sum(adversary: Adversary, scale_heads: bool, build: Build) -> None:
    weights = [2.0, 0.5, 1.0]
    ours, by_hand = build(adversary, Fixed(weights), scale_heads=scale_heads), build(None)
    ours.train_step(batches_of())

    def objective() -> tf.Tensor:
        return tf.add_n([w * loss_of(by_hand, b, time) for time, (w, b) in enumerate(zip(weights, batches_of().values()))])

    gradients = gradients_by_hand(by_hand, objective, adversary)
    for variable, gradient in zip(by_hand.trainable_variables, gradients):
        own = [weight for task, weight in zip(CONTEST_TASKS, weights) if task.head_name in variable.name]
        variable.assign_sub(0.1 * gradient / (own[0] if own and not scale_heads else 1.0))
    for mine, other in zip(ours.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5, err_msg=mine.name)


def test_gram_methods_attack_each_task_for_itself(build: Build) -> None:
    model, by_hand = build(FGM, UPGrad(3)), build(None)
    read = {variable.name for variable in model.gram_variables()}
    result = model.train_step(batches_of())
    flat = []
    for time, batch in enumerate(batches_of().values()):
        gradients = gradients_by_hand(by_hand, lambda batch=batch, time=time: loss_of(by_hand, batch, time), FGM)
        pairs = zip(by_hand.trainable_variables, gradients)
        flat.append(np.concatenate([gradient.ravel() for variable, gradient in pairs if variable.name in read]))
    np.testing.assert_allclose(result["gram"], np.array(flat) @ np.array(flat).T, rtol=1e-3, atol=1e-6)


def test_gram_of_some_variables_is_of_the_clean_losses(build: Build) -> None:
    model, clean = (build(adversary, UPGrad(3), gram_variables="pooler") for adversary in (FGM, None))
    grams = [one.train_step(batches_of())["gram"] for one in (model, clean)]
    np.testing.assert_allclose(*grams, rtol=1e-5)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(model.get_weights(), clean.get_weights()))


@pytest.mark.parametrize(("weighting", "adversary"), [(Uncertainty, PGD), (UPGrad, FGM)], ids=["uncertainty", "upgrad"])
def test_embeddings_come_back_bit_for_bit(weighting: type[TaskWeighting], adversary: Adversary, build: Build) -> None:
    model = build(adversary, weighting(3), rate=0.0)
    before = model.encoder.word_embeddings.numpy()
    step = tf.function(model.train_step)
    for number in range(2):
        step(batch_of(number) if weighting is Uncertainty else batches_of(number))
    np.testing.assert_array_equal(model.encoder.word_embeddings.numpy().view(np.int32), before.view(np.int32))


def test_accumulated_parts_are_attacked_each_for_itself(build: Build) -> None:
    model, by_hand = build(FGM, num_accumulated_batches=2), build(None)
    batch = batch_of(1, rows=6)
    *_, found = tf.function(lambda: gradients_of(model, batch))()
    halves = []
    for part in (0, 1):
        half = {name: value if name == "task_id" else value[3 * part : 3 * part + 3] for name, value in batch.items()}
        halves.append(gradients_by_hand(by_hand, lambda half=half, part=part: loss_of(by_hand, half, part), FGM))
    for variable, one, first, second in zip(model.trainable_variables, found, *halves, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), (first + second) / 2, atol=2e-6, err_msg=variable.name)


def test_task_of_weight_zero_makes_no_attack(build: Build) -> None:
    model = build(FGM, Fixed([0.0, 1.0, 1.0]))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.train_step(batch_of(0))
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_loss_that_is_no_number_leaves_the_embeddings_as_they_were(build: Build) -> None:
    model = build(PGD, on_nonfinite="skip")
    before = model.encoder.word_embeddings.numpy()
    model.heads["tnews_logits"].bias.assign([np.nan] * 15)
    assert bool(tf.function(model.train_step)(batch_of(0))["skipped"])
    np.testing.assert_array_equal(model.encoder.word_embeddings, before)


def test_without_an_adversary_the_gradients_are_what_they_were(build: Build) -> None:
    gradients: list[tf.Tensor] = []
    assert with_attack(build(None), [gradients], lambda: [[tf.constant(1.0)]])[0] is gradients


def test_embeddings_that_are_not_trained_are_an_error(build: Build) -> None:
    model = build(FGM)
    model.encoder.embeddings.trainable = False
    try:
        with pytest.raises(UserError, match="attacks the word embeddings, which this model does not train"):
            model.train_step(batch_of(0))
    finally:
        model.encoder.embeddings.trainable = True
