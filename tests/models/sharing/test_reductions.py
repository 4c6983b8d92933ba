"""Structures at their limits are others: soft sharing single tasks or hard sharing, without private parts hard sharing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing.distance import l2, squared_distance
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS

Build, Batch = Callable[..., MultiTaskModel], Callable[..., dict[str, tf.Tensor]]


def joint(batch_of: Batch, seed: int) -> dict[str, dict[str, tf.Tensor]]:
    return {task.name: batch_of(index, seed) for index, task in enumerate(CONTEST_TASKS)}


def encoder_values(model: MultiTaskModel, task: int) -> dict[str, np.ndarray]:
    encoder = model.sharing.encoder_of(task) if hasattr(model.sharing, "encoder_of") else model.encoder
    return {name: variable.numpy() for name, variable in encoder.canonical_variables.items()}


def distance(model: MultiTaskModel) -> float:
    """Root of the summed squared distances of all pairs of encoders."""
    values = [encoder_values(model, task) for task in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    return sum(float(((values[a][name] - values[b][name]) ** 2).sum()) for a, b in pairs for name in values[0]) ** 0.5


def assert_single_tasks(model: MultiTaskModel, singles: list[MultiTaskModel]) -> None:
    for index, single in enumerate(singles):
        np.testing.assert_equal(encoder_values(model, index), encoder_values(single, 0))
        name = CONTEST_TASKS[index].logits_name
        np.testing.assert_equal(model.heads[name].get_weights(), single.heads[name].get_weights())


def test_soft_of_weight_zero_in_joint_steps_is_three_single_task_models(build_sharing: Build, batch_of: Batch) -> None:
    model = build_sharing("soft", soft_weight=0.0, optimizer=make_optimizer("adam", 0.01, 0.01))
    singles = [build_sharing("hard", (task,), optimizer=make_optimizer("adam", 0.01, 0.01)) for task in CONTEST_TASKS]
    for step in range(2):
        model.train_step(joint(batch_of, step))
        for index, single in enumerate(singles):
            single.train_step({CONTEST_TASKS[index].name: batch_of(index, step)})
    assert_single_tasks(model, singles)
    assert distance(model) > 0.1


def test_soft_of_weight_zero_in_alternating_steps_is_three_single_task_models(build_sharing: Build, batch_of: Batch) -> None:
    """With an optimizer whose steps do not depend on their number: Adam's do, and count the other tasks' steps here."""
    model = build_sharing(
        "soft", soft_weight=0.0, step={"idle_heads": "skip"}, optimizer=make_optimizer("adagrad", 0.1, 0.0)
    )
    singles = [build_sharing("hard", (task,), optimizer=make_optimizer("adagrad", 0.1, 0.0)) for task in CONTEST_TASKS]
    for step in range(5):
        model.train_step(batch_of(step % 3, step))
        singles[step % 3].train_step({**batch_of(step % 3, step), "task_id": tf.constant(0)})
    assert_single_tasks(model, singles)


def test_soft_goes_to_hard_sharing_as_the_weight_grows(build_sharing: Build, batch_of: Batch) -> None:
    """At any weight it starts as hard sharing. The distance that training leaves falls with 1 / weight, and the encoders
    come close to the one of hard sharing with a third of their rate, which is what their mean would do when equal."""

    def trained(model: MultiTaskModel) -> MultiTaskModel:
        for step in range(4):
            model.train_step(joint(batch_of, step))
        return model

    hard = build_sharing("hard", optimizer=tf_keras.optimizers.SGD(0.01))
    for name, logits in build_sharing("soft").build_logits(batch_of(0)).items():
        np.testing.assert_array_equal(logits, hard.build_logits(batch_of(0))[name])
    hard.optimizer.learning_rate = 0.01 / 3
    trained(hard)
    distances, errors = [], []
    for weight in (0.0, 3.0, 16.0):  # rate x weight x tasks stays below 1
        soft = trained(build_sharing("soft", soft_weight=weight, optimizer=tf_keras.optimizers.SGD(0.01)))
        distances.append(distance(soft))
        gaps = [
            np.abs(encoder_values(soft, task)[name] - value).max()
            for task in range(3)
            for name, value in encoder_values(hard, 0).items()
        ]
        errors.append(max(gaps))
    assert distances[0] > 1.1 * distances[1] > 2 * distances[2] > 0
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.5 * errors[0]


def test_soft_ties_as_much_in_a_round_of_steps_as_in_a_joint_step_whether_idle_encoders_move_or_not(
    build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    """With a rate so small that encoders stay where they are during a round."""
    rate, weight = 1e-4, 10.0

    def moved(steps: list[dict[str, Any]], idle_heads: str, soft_weight: float) -> list[np.ndarray]:
        optimizer = tf_keras.optimizers.SGD(rate)
        model = build_sharing("soft", soft_weight=soft_weight, step={"idle_heads": idle_heads}, optimizer=optimizer)
        scatter(model)
        before = [model.sharing.encoder_of(task).word_embeddings.numpy() for task in range(3)]
        for batch in steps:
            model.train_step(batch)
        return [model.sharing.encoder_of(task).word_embeddings.numpy() - before[task] for task in range(3)]

    steps = [[joint(batch_of, 0)], [batch_of(task, 0) for task in range(3)]]
    model = build_sharing("soft")
    scatter(model)
    tables = [model.sharing.encoder_of(task).word_embeddings.numpy() for task in range(3)]
    expected = [-rate * 2 * weight * (3 * table - sum(tables)) for table in tables]
    for way in steps:
        for idle_heads in ("zero", "skip"):
            tied, apart = (moved(way, idle_heads, value) for value in (weight, 0.0))
            for task in range(3):
                np.testing.assert_allclose(tied[task] - apart[task], expected[task], rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("kind", ["squared_l2", "l2"])
def test_soft_penalty_is_the_weighted_distance_of_the_named_parts(
    kind: str, build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    model = build_sharing("soft", soft_weight=0.3, soft_distance=kind, soft_layers="0=2,pooler")
    scatter(model)
    values = [encoder_values(model, task) for task in range(3)]
    expected = 0.0
    for one, other in ((0, 1), (0, 2), (1, 2)):
        for part, weight in (("encoder/layer_0/", 2.0), ("pooler/", 1.0)):
            names = [name for name in values[0] if name.startswith(part)]
            squared = sum(((values[one][name] - values[other][name]) ** 2).sum() for name in names)
            expected += 0.3 * weight * (squared if kind == "squared_l2" else squared**0.5)
    np.testing.assert_allclose(sum(float(model.sharing.penalty(task)) for task in range(3)), expected, rtol=1e-5)
    np.testing.assert_allclose(model.train_step(joint(batch_of, 0))["penalty"], expected, rtol=1e-5)


def test_distances_have_a_gradient_for_the_first_also_where_they_are_zero() -> None:
    one, other = tf.constant([[1.0, 2.0], [3.0, -1.0]]), tf.constant([[0.5, 2.0], [1.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch([one, other])
        value = l2(squared_distance(one, other))
    difference = (one - other).numpy()
    norm = np.sqrt((difference**2).sum())
    np.testing.assert_allclose(value, norm, rtol=1e-6)
    gradients = tape.gradient(value, [one, other])
    np.testing.assert_allclose(gradients[0], difference / norm, rtol=1e-6)
    assert not np.any(gradients[1])
    with tf.GradientTape() as tape:
        tape.watch(one)
        value = l2(squared_distance(one, one + 0.0))
    assert float(value) == 0.0 and not np.any(tape.gradient(value, one))


@pytest.mark.parametrize("feature", ["pooled", "layer1.mean", "mix.cls"])
@pytest.mark.parametrize("part", ["top", "encoder", "adapter"])
def test_shared_private_without_a_private_part_is_hard_bit_for_bit(
    part: str, feature: str, build_sharing: Build, batch_of: Batch
) -> None:
    features = {task.name: feature for task in CONTEST_TASKS}
    hard = build_sharing("hard", dropout=True, features=features)
    none = build_sharing("shared_private", private_part=part, private_layers=0, dropout=True, features=features)
    assert [variable.name for variable in none.trainable_variables] == [
        variable.name for variable in hard.trainable_variables
    ]
    for step in range(2):
        told = [model.train_step(batch_of(step, step)) for model in (hard, none)]
        np.testing.assert_array_equal(told[0]["losses"], told[1]["losses"])
    for one, other in zip(hard.trainable_variables, none.trainable_variables):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize(
    "sharing, options",
    [
        ("shared_private", {"private_part": "adapter"}),
        ("shared_private", {"combine": "gate"}),
        ("memory", {}),
    ],
)
def test_what_starts_as_nothing_starts_as_hard_sharing(
    sharing: str, options: dict[str, Any], build_sharing: Build, batch_of: Batch
) -> None:
    expected = build_sharing("hard").build_logits(batch_of(0))
    for name, logits in build_sharing(sharing, **options).build_logits(batch_of(0)).items():
        np.testing.assert_allclose(logits, expected[name], atol=1e-6)


def test_ple_of_one_level_without_own_experts_would_be_mmoe(
    build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    """By hand: every task's own mixture of all experts, here of two."""
    model = build_sharing("mmoe", experts=2, expert_size=5)
    scatter(model)
    pooled = model.encoder.pooled_output(*(batch_of(0)[name] for name in ("input_ids", "input_mask", "segment_ids"))).numpy()
    level = model.sharing.levels[0]
    kernel, bias = level.shared.get_weights()
    experts = np.maximum(pooled @ kernel + bias, 0).reshape(4, 2, 5)
    for task in range(3):
        gate, gate_bias = level.gates[task].get_weights()
        weights = np.exp(pooled @ gate + gate_bias)
        expected = np.einsum("bn,bnw->bw", weights / weights.sum(1, keepdims=True), experts)
        found = model.sharing.encode(batch_of(0), task, frozenset({"pooled"}), training=False).pooled
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
