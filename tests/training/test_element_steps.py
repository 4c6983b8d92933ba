"""Steps whose weighting combines the tasks' gradients, or needs several batches: what it is given, and what comes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import batch_of, compiled

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.step import Batches, TrainStep
from easytransfer_mtl.weighting import (
    ElementWeighting,
    ExcessMTL,
    GradDrop,
    MoCo,
    MoDo,
    RunFacts,
    SDMGrad,
    Signals,
    TaskWeighting,
    TrimmedMean,
    make_weighting,
)
from easytransfer_mtl.weighting.elements import Combination
from easytransfer_mtl.weighting.graddrop import sign_dropped

Build = Callable[..., TrainStep]
ROOT = Path(__file__).parents[2]


class Recorded(ElementWeighting):
    """Adds up the gradients, and keeps what it was given."""

    def combine(self, signals: Signals) -> Combination:
        self.given = [gradients.numpy() for gradients in signals.gradients]
        return Combination([2.0 * tf.reduce_sum(each, axis=0) for each in signals.gradients], tf.constant([1.0, 2.0, 3.0]))

    def build(self, variables: list[tf.Variable]) -> None:
        self.variables_read = variables


class Plain(Recorded):
    weighs_losses = False


@pytest.fixture(scope="module")
def build(golden_model: Callable[..., MultiTaskModel]) -> Build:
    def make(weighting: TaskWeighting, **settings: Any) -> TrainStep:
        return compiled(golden_model(), tf_keras.optimizers.SGD(0.1), weighting, **{"gradient_clip": False, **settings})

    return make


def batches_of(seed: int = 0, rows: int = 6) -> Batches:
    return {task.name: batch_of(index, rows, seed) for index, task in enumerate(CONTEST_TASKS)}


def part_of(batches: Batches, part: int, parts: int = 3) -> Batches:
    def cut(key: str, value: tf.Tensor) -> tf.Tensor:
        rows = len(value) // parts if key != "task_id" else 0
        return value if key == "task_id" else value[part * rows : (part + 1) * rows]

    return {name: {key: cut(key, value) for key, value in batch.items()} for name, batch in batches.items()}


def gradients_by_hand(model: MultiTaskModel, batches: Batches) -> list[list[np.ndarray]]:
    """Returns each task's gradients of all trainable variables."""
    found = []
    for batch in batches.values():
        with tf.GradientTape() as tape:
            loss = model.build_loss(model.build_logits(batch, training=True), batch["label_ids"], batch["task_id"])
        gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
        found.append([tf.convert_to_tensor(gradient).numpy() for gradient in gradients])
    return found


def applied(step: TrainStep, batches: Batches) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Does a step; returns the gradients that the optimizer was given, by variable, and the step's results."""
    captured: dict[str, np.ndarray] = {}
    step.optimizer.apply_gradients = lambda pairs, **more: captured.update({v.name: g.numpy() for g, v in pairs})
    return captured, step(batches)


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("scale_heads", [True, False])
@pytest.mark.parametrize("method", [Recorded, Plain])
def test_the_method_is_given_every_tasks_gradients_of_what_is_shared_and_not_frozen(
    method: type[Recorded], scale_heads: bool, frozen: int, build: Build
) -> None:
    weighting = method(3)
    step = build(weighting, num_freezed_layers=frozen, scale_heads=scale_heads)
    model = step.model
    by_hand = dict(
        zip([v.name for v in model.trainable_variables], zip(*gradients_by_hand(model, batches_of())), strict=True)
    )
    captured, result = applied(step, batches_of())
    seen = {variable.name for variable in weighting.variables_read}
    shared = {variable.name for variable in model.shared_variables}
    lower = {name for name in shared if "layer_._0/" in name and frozen}
    assert seen == shared - lower and len(lower) == 16 * frozen
    for variable, given in zip(weighting.variables_read, weighting.given, strict=True):
        np.testing.assert_allclose(given, np.stack(by_hand[variable.name]), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(result["weights"], [1, 2, 3])
    factors = np.array([1.0, 1, 1] if method is Plain or not scale_heads else [1, 2, 3])
    for name, parts in by_hand.items():
        wanted = 2 * sum(parts) if name in seen else sum(f * part for f, part in zip(factors, parts, strict=True))
        if name not in lower:
            np.testing.assert_allclose(captured[name], wanted, rtol=1e-4, atol=2e-6)


def test_graddrop_drops_signs_of_the_parameters_gradients_and_leaves_heads_alone(build: Build) -> None:
    weighting = GradDrop(3, [0.0, 0.0, 0.5], seed=5)
    step = build(weighting)
    variables = {v.name: place for place, v in enumerate(step.model.shared_variables)}
    by_hand = zip(*gradients_by_hand(step.model, batches_of()))
    captured, result = applied(step, batches_of())
    assert (result["weights"] > 0).numpy().all() and (result["weights"] < 1).numpy().all()
    for variable, parts in zip(step.model.trainable_variables, by_hand, strict=True):
        wanted = sum(parts)
        if variable.name in variables:
            uniforms = weighting.uniforms(variables[variable.name], variable.shape, tf.constant(0, tf.int64))
            purity = (1 + wanted / np.maximum(np.abs(parts).sum(0), 1e-30)) / 2
            wanted = sign_dropped(tf.constant(parts), uniforms, tf.constant([0, 0, 0.5]))[0].numpy()
            wanted = np.where(np.abs(purity - uniforms) > 1e-3, wanted, captured[variable.name])
        np.testing.assert_allclose(captured[variable.name], wanted, rtol=1e-3, atol=2e-6, err_msg=variable.name)


@pytest.mark.parametrize("method", [MoDo, SDMGrad])
def test_products_are_of_two_parts_and_the_step_of_the_third_or_of_both(
    method: Callable[[int], TaskWeighting], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighting, seen = method(3), []
    weights = weighting.weights
    monkeypatch.setattr(weighting, "weights", lambda signals: seen.append(signals) or weights(signals))
    count = weighting.num_batches
    step = build(weighting, num_accumulated_batches=count)
    parts = [gradients_by_hand(step.model, part_of(batches_of(), part, count)) for part in range(count)]
    places = [index for index, v in enumerate(step.model.trainable_variables) if any(v is w for w in step.gram_variables)]
    flat = [[np.concatenate([task[place].ravel().astype(float) for place in places]) for task in part] for part in parts]
    captured, result = applied(step, batches_of())
    products = np.array(flat[0]) @ np.array(flat[1]).T
    np.testing.assert_allclose(seen[0].products, products, rtol=1e-3, atol=1e-4 * np.abs(products).max())
    wanted = result["weights"].numpy()
    assert "gram" not in result and wanted.sum() == pytest.approx(3, rel=1e-5)
    for place, variable in enumerate(step.model.trainable_variables):
        of_parts = [sum(weight * task[place] for weight, task in zip(wanted, part, strict=True)) for part in parts]
        stepped = np.mean(of_parts[2:] or of_parts, axis=0)
        np.testing.assert_allclose(captured[variable.name], stepped, rtol=1e-3, atol=3e-6, err_msg=variable.name)
    losses = build(TrimmedMean(3))(batches_of())["losses"]
    np.testing.assert_allclose(result["losses"], losses, rtol=1e-5)  # the means of all parts


def test_products_of_the_last_layer_alone(build: Build) -> None:
    results = [
        build(SDMGrad(3), num_accumulated_batches=3, gram_variables=kind)(batches_of()) for kind in ("all", "last_layer")
    ]
    assert not np.allclose(results[0]["weights"], results[1]["weights"])


@pytest.mark.parametrize("parts", [1, 3, 4])
def test_another_number_of_parts_is_refused_in_one_sentence(parts: int, build: Build) -> None:
    with pytest.raises(UserError) as error:
        build(MoDo(3), num_accumulated_batches=parts)
    assert str(error.value) == (
        "loss_weighting modo needs 2 independent batches of every task in a step, and num_accumulated_batches is "
        f"{parts}; set --num_accumulated_batches=2, or choose another method."
    )


@pytest.mark.parametrize("method", [ExcessMTL, MoCo, MoDo])
def test_state_moves_in_steps_that_are_done_alone(method: Callable[[int], TaskWeighting], build: Build) -> None:
    parts = {"num_accumulated_batches": 2} if method is MoDo else {}
    step = build(method(3), on_nonfinite="skip", **parts)
    traced = tf.function(step, autograph=False)
    before = [variable.numpy() for variable in step.weighting.variables]
    assert len(before) == (1 if method is MoDo else len(step.gram_variables) + (3 if method is ExcessMTL else 2))
    traced(batches_of())
    after = [variable.numpy() for variable in step.weighting.variables]
    assert any(not np.array_equal(one, other) for one, other in zip(before, after))
    step.model.heads["ocnli_logits"].bias.assign([np.nan, 0.0, 0.0])
    assert bool(traced(batches_of(1))["skipped"])
    np.testing.assert_equal([variable.numpy() for variable in step.weighting.variables], after)


def test_a_method_of_ones_own_is_named_by_its_file(build: Build) -> None:
    name = f"{ROOT / 'docs/extending/elements.py'}:SignMajority"
    run = RunFacts([task.name for task in CONTEST_TASKS], [15, 7, 3])
    weighting = make_weighting(WeightingSettings(loss_weighting=name, step_mode="joint"), run)
    captured, result = applied(build(weighting), batches_of())
    assert all(np.isfinite(gradient).all() for gradient in captured.values())
    np.testing.assert_array_equal(result["weights"], [1, 1, 1])
