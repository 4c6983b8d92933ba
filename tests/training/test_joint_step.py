"""Joint steps against loops written by hand, the Gram matrix against full gradients, and what each weight reaches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled, weighting_of

from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.step import Batch, Batches, TrainStep
from easytransfer_mtl.weighting import (
    FAMO,
    METHODS,
    MGDA,
    ElementWeighting,
    Equal,
    Fixed,
    GradNorm,
    PCGrad,
    TaskWeighting,
    Uncertainty,
    UPGrad,
)

Build = Callable[..., TrainStep]
ROWS = {"TNEWS": (4, 6), "OCEMOTION": (3, 9), "OCNLI": (2, 7)}
"""Rows and tokens of the tasks' batches: all different."""


def batches_of(number: int) -> Batches:
    random = np.random.default_rng(number)
    found = {}
    for index, task in enumerate(CONTEST_TASKS):
        rows, length = ROWS[task.name]
        mask = np.ones((rows, length), np.int32)
        mask[0, length - 2 :] = 0
        found[task.name] = {
            "input_ids": tf.constant(random.integers(5, 20, (rows, length)) * mask, tf.int32),
            "input_mask": tf.constant(mask),
            "segment_ids": tf.zeros((rows, length), tf.int32),
            "label_ids": tf.constant(random.integers(0, task.num_labels, rows), tf.int32),
            "task_id": tf.constant(index),
        }
    return found


def times_the_rows(number: int, count: int = 2) -> Batches:
    """Batches of which each of ``count`` parts has as many rows of each task."""
    parts = [batches_of(number + part) for part in range(count)]
    return {
        name: {
            key: value if key == "task_id" else tf.concat([part[name][key] for part in parts], axis=0)
            for key, value in batch.items()
        }
        for name, batch in parts[0].items()
    }


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(
        weighting: TaskWeighting | str | None = None,
        rate: float = 1e-3,
        losses: dict[str, TaskLoss] | None = None,
        **settings: Any,
    ) -> TrainStep:
        if isinstance(weighting, str):
            weighting = weighting_of(weighting, "joint", steps_per_epoch=1)
        return compiled(golden_model(task_losses=losses), make_optimizer("adam", rate, 0.01), weighting, **settings)

    return make


def values_of(model: MultiTaskModel) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.trainable_variables}


def loss_and_gradients(model: MultiTaskModel, batch: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape:
        logits = model.build_logits(batch, training=True)
        loss = model.build_loss(logits, batch["label_ids"], batch["task_id"])
    variables = model.trainable_variables
    return loss, [
        tf.zeros_like(v) if g is None else tf.convert_to_tensor(g) for g, v in zip(tape.gradient(loss, variables), variables)
    ]


def test_equal_weights_are_a_loop_written_by_hand(build: Build) -> None:
    ours, other = build(), build()
    by_hand, traced = other.model, tf.function(ours, autograph=False)
    for number in range(8):
        traced(batches_of(number))
        with tf.GradientTape() as tape:
            losses = []
            for batch in batches_of(number).values():
                logits = by_hand.build_logits(batch, training=True)
                losses.append(by_hand.build_loss(logits, batch["label_ids"], batch["task_id"]))
            total = tf.add_n(losses)
        gradients = [tf.convert_to_tensor(part) for part in tape.gradient(total, by_hand.trainable_variables)]
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        by_hand.optimizer.apply_gradients(zip(gradients, by_hand.trainable_variables))
    for name, value in values_of(by_hand).items():
        np.testing.assert_allclose(values_of(ours.model)[name], value, atol=3e-5, err_msg=name)


@pytest.mark.parametrize(
    "name",
    [name for name, method in METHODS.items() if not (method.num_batches or issubclass(method, ElementWeighting))],
)
def test_step_goes_along_the_weighted_sum_of_the_tasks_gradients(name: str, build: Build) -> None:
    step, twin = build(name, gradient_clip=False, gram_variables="all"), build().model
    captured: list[list[tf.Tensor]] = []

    def capture(pairs: Any, **more: Any) -> None:
        captured.append([gradient for gradient, _ in pairs])

    step.optimizer.apply_gradients = capture
    result = step(batches_of(3))
    parts = [loss_and_gradients(twin, batch) for batch in batches_of(3).values()]
    np.testing.assert_allclose(result["losses"], [loss for loss, _ in parts], rtol=1e-5)
    weights = result["weights"].numpy()
    for index, gradient in enumerate(captured[0]):
        expected = sum(weight * part[index] for weight, (_, part) in zip(weights, parts))
        np.testing.assert_allclose(gradient, expected, atol=1e-5 * max(1.0, float(np.abs(weights).max())))
    norm = np.sqrt(sum(float(tf.reduce_sum(gradient**2)) for gradient in captured[0]))
    np.testing.assert_allclose(result["grad_norm"], norm, rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_stop_and_go_on_equals_never_having_stopped(name: str, build: Build, tmp_path: Path) -> None:
    def state_of(step: TrainStep) -> list[np.ndarray]:
        variables = *step.model.trainable_variables, *step.optimizer.variables, *step.weighting.variables
        return [variable.numpy() for variable in variables]

    parts = METHODS[name].num_batches or 1
    whole, resumed = (build(name, rate=1e-2, num_accumulated_batches=parts) for _ in range(2))
    for number in (0, 1):
        whole(times_the_rows(number, parts))
    path = tf.train.Checkpoint(model=whole.model).write(str(tmp_path / "stopped"))
    tf.train.Checkpoint(model=resumed.model).read(path).assert_existing_objects_matched()
    for step in (whole, resumed):
        seen = [step(times_the_rows(number, parts)) for number in (2, 3)]
    np.testing.assert_equal(state_of(resumed), state_of(whole))
    assert np.isfinite(seen[-1]["weights"]).all()


@pytest.mark.parametrize("kind", ["all", "last_layer", "pooler"])
@pytest.mark.parametrize("frozen", [0, 1])
def test_gram_matrix_is_of_the_declared_variables(kind: str, frozen: int, build: Build) -> None:
    step = build(UPGrad(3), gram_variables=kind, num_freezed_layers=frozen)
    model, variables = step.model, step.model.trainable_variables
    wanted = {
        "all": [
            v for v in variables if "_dense/" not in v.name.replace("pooler/dense", "") and v.name.split("/")[0] == "bert"
        ],
        "last_layer": [v for v in variables if f"layer_._{model.encoder.config.num_hidden_layers - 1}/" in v.name],
        "pooler": [v for v in variables if "pooler" in v.name],
    }[kind]
    wanted = [v for v in wanted if frozen == 0 or "layer_._0/" not in v.name]
    assert {v.name for v in step.gram_variables} == {v.name for v in wanted} and wanted
    places = [index for index, v in enumerate(variables) if any(v is w for w in wanted)]
    flat = []
    for batch in batches_of(1).values():
        _, gradients = loss_and_gradients(model, batch)
        flat.append(np.concatenate([gradients[index].numpy().ravel().astype(np.float64) for index in places]))
    result = step(batches_of(1))
    lengths = np.linalg.norm(flat, axis=1)
    np.testing.assert_allclose(
        result["gram"] / np.outer(lengths, lengths),
        np.array(flat) @ np.array(flat).T / np.outer(lengths, lengths),
        atol=1e-12,
    )


def test_probe_measures_what_a_gram_step_does_and_changes_nothing(build: Build) -> None:
    step = build(UPGrad(3), rate=0.0)
    before = values_of(step.model)
    losses, gram = step.task_gram(batches_of(2))
    np.testing.assert_equal(values_of(step.model), before)
    result = step(batches_of(2))
    np.testing.assert_allclose(losses, result["losses"], rtol=1e-6)
    np.testing.assert_allclose(gram, result["gram"], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("weighting", ["fixed", "mgda"])
def test_a_task_of_weight_zero_leaves_its_head_and_slots_alone(
    weighting: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = build(Fixed([0.0, 1.0, 0.0]) if weighting == "fixed" else MGDA(3))
    if weighting == "mgda":
        monkeypatch.setattr(step.weighting, "solve", lambda gram, losses, number: np.array([0.0, 3.0, 0.0]))

    def state() -> dict[str, np.ndarray]:
        return {**values_of(step.model), **{slot.name: slot.numpy() for slot in step.optimizer.variables}}

    before = state()
    for number in range(3):
        step(batches_of(number))
    after = state()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not [name for name in moved if "tnews_dense" in name or "ocnli_dense" in name]
    assert [name for name in moved if "ocemotion_dense" in name] and [name for name in moved if "embeddings" in name]


@pytest.mark.parametrize("name", ["fixed", "pcgrad", "gradnorm"])
@pytest.mark.parametrize("kind", ["all", "pooler"])
def test_scale_heads_off_leaves_the_heads_gradients_unscaled(name: str, kind: str, build: Build) -> None:
    weighting = {"fixed": lambda: Fixed([3.0, 0.0, 0.5]), "pcgrad": lambda: PCGrad(3, 1), "gradnorm": lambda: GradNorm(3)}[
        name
    ]
    step = build(weighting(), gradient_clip=False, scale_heads=False, gram_variables=kind)
    plain = build(gradient_clip=False)
    seen: dict[int, dict[str, np.ndarray]] = {}
    for number, one in enumerate((step, plain)):
        one.optimizer.apply_gradients = lambda pairs, number=number, **more: seen.setdefault(
            number, {v.name: g.numpy() for g, v in pairs}
        )
        one(batches_of(4))
    for key, value in seen[1].items():
        if key.split("/")[0].endswith("_dense"):
            np.testing.assert_allclose(seen[0][key], value, rtol=1e-5, atol=1e-8)
    if name == "fixed":
        name_of = next(key for key in seen[1] if "pooler" in key)
        assert not np.allclose(seen[0][name_of], seen[1][name_of])


def test_losses_after_see_the_masks_of_the_losses_before(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    step = build(FAMO(3), rate=0.0)
    step.model.dropout.rate = 0.5
    seen = []
    monkeypatch.setattr(step.weighting, "update", lambda signals, after=None: seen.append((signals.losses, after)))
    for _number in range(2):
        step(batches_of(0))
        np.testing.assert_array_equal(*seen[-1])  # at a rate of 0 nothing else could change them
    assert not np.allclose(seen[0][0], seen[1][0])  # another step has other masks


def test_nothing_moves_in_a_step_that_is_left_out(build: Build) -> None:
    step = build(Uncertainty(3), on_nonfinite="skip")
    model, traced = step.model, tf.function(step, autograph=False)
    assert not bool(traced(batches_of(0))["skipped"])
    model.heads["ocnli_logits"].bias.assign([np.nan, 0.0, 0.0])
    before = [variable.numpy() for variable in (*model.variables, *step.weighting.variables)]
    slots = [slot.numpy() for slot in step.optimizer.variables]
    result = traced(batches_of(1))
    assert bool(result["skipped"]) and np.isnan(result["losses"][2])
    clock = model.encoder.clock.time
    for variable, value in zip((*model.variables, *step.weighting.variables), before):
        assert variable is clock or np.array_equal(variable.numpy(), value, equal_nan=True)
    for slot, value in zip(step.optimizer.variables, slots):
        assert np.array_equal(slot.numpy(), value) or slot is step.optimizer.iterations
    assert int(step.optimizer.iterations.numpy()) == 2


def test_label_weights_smoothing_and_focal_factor_compose_with_any_weighting(build: Build) -> None:
    losses = {
        "TNEWS": TaskLoss(15, label_smoothing=0.1),
        "OCEMOTION": TaskLoss(7, focal_gamma=1.0),
        "OCNLI": TaskLoss(3, (0.5, 1.0, 2.0), label_smoothing=0.2),
    }
    plain = build(Equal(3), losses=losses)(batches_of(5))["losses"]
    for name in ("uncertainty", "pcgrad"):
        np.testing.assert_allclose(build(name, losses=losses)(batches_of(5))["losses"], plain, rtol=1e-5)
    assert not np.allclose(build(Equal(3))(batches_of(5))["losses"], plain)


@pytest.mark.parametrize(
    ("weighting", "settings"),
    [
        ("equal", {}),
        ("uncertainty", {"scale_heads": False}),
        ("famo", {}),
        ("pcgrad", {"gram_variables": "all"}),
        ("upgrad", {"gram_variables": "last_layer"}),
        ("gradnorm", {"gram_variables": "pooler"}),
        ("dtp", {}),
        ("trimmed_mean", {}),
        ("excess_mtl", {}),
        ("moco", {"scale_heads": False}),
    ],
)
def test_accumulated_batches_are_one_big_batch_of_every_task(
    weighting: str, settings: dict[str, Any], golden_model: Callable[..., MultiTaskModel]
) -> None:
    """The big batch without a graph, the parts in one."""
    batches, results = times_the_rows(3), []
    for parts in (1, 2):
        method, sgd = weighting_of(weighting, "joint", steps_per_epoch=1), tf_keras.optimizers.SGD(0.1)
        more = {"gradient_clip": False, "num_accumulated_batches": parts, **settings}
        step = compiled(golden_model(), sgd, method, **more)
        variables = step.model.trainable_variables
        before = [variable.numpy() for variable in variables]
        run = tf.function(step, autograph=False) if parts > 1 else step
        outputs = [run(batches) for _ in range(2)]
        moves = [variable.numpy() - old for variable, old in zip(variables, before, strict=True)]
        state = [variable.numpy() for variable in step.weighting.variables]
        results.append((moves, outputs, state))
    whole, parted = results
    assert max(np.abs(move).max() for move in whole[0]) > 1e-3
    for one, other in zip(whole[0], parted[0], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-6)
    for name in ("losses", "weights", "gram"):
        if name in whole[1][1]:
            np.testing.assert_allclose(parted[1][1][name], whole[1][1][name], rtol=2e-4, atol=1e-7)
    for one, other in zip(whole[2], parted[2], strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("more", [{"rdrop_alpha": 1.0}, {"adversarial": "fgm"}, {"adversarial": "pgd"}])
def test_accumulated_parts_have_masks_and_attacks_of_their_own(more: dict[str, Any], build: Build) -> None:
    step = build("pcgrad", num_accumulated_batches=2, **more)
    seen, forward = [], step._forward
    step._forward = lambda *given: seen.append(int(given[2])) or forward(*given)  # type: ignore[method-assign]
    outputs = step(times_the_rows(1))
    assert np.isfinite(outputs["losses"]).all() and np.isfinite(outputs["grad_norm"])
    assert set(seen) == set(range(6))  # 3 tasks, 2 parts each
