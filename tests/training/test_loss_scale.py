"""float16 with its loss scale: close to float32, an overflow changes nothing but the scale, and a stopped run goes on."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import FGM, batch_of, compiled, step_of, weighting_of

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training import loss_scale
from easytransfer_mtl.training.loss_scale import FIRST, LARGEST, SMALLEST, LossScale
from easytransfer_mtl.training.step import TrainStep
from easytransfer_mtl.training.trainer import run_training
from easytransfer_mtl.weighting import Fixed, TaskWeighting

Build = Callable[..., TrainStep]
OVERFLOWS = 2.0**60
"""A scale at which every gradient overflows float16."""


@pytest.fixture
def build(tiny_encoder: Path) -> Build:
    """Builds a step of a tiny model in a precision."""

    def build(precision: str = "float16", weighting: TaskWeighting | None = None, **settings: Any) -> TrainStep:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
        model = MultiTaskModel(encoder, CONTEST_TASKS)
        return compiled(model, make_optimizer("adam", 1e-2, 0.01), weighting, precision=precision, **settings)

    return build


def did(step: TrainStep, batch: Any, precision: str = "float16") -> dict[str, np.ndarray]:
    """Does a step, in a graph as training does unless it is float32's, and returns its logs."""
    with step.model.encoder.computing_in(precision):
        logs = (step if precision == "float32" else tf.function(step, autograph=False))(batch)
    return {name: value.numpy() for name, value in logs.items()}


def gradients(step: TrainStep, precision: str = "float16") -> np.ndarray:
    with step.model.encoder.computing_in(precision):
        found = step.gradients_of(batch_of(2)).gradients
    return np.concatenate([np.ravel(tf.convert_to_tensor(gradient)) for gradient in found])


def state_of(step: TrainStep) -> list[np.ndarray]:
    """All that a step moves but its own number and the scale."""
    averages = step.averages.averages if step.averages else []
    variables = [*step.model.variables, *step.optimizer.variables, *step.weighting.variables, *averages]
    kept = [v for v in variables if v is not step.optimizer.iterations and v is not step.model.encoder.clock.time]
    return [variable.numpy() for variable in kept]


def joint() -> dict[str, Any]:
    return {task.name: batch_of(place) for place, task in enumerate(CONTEST_TASKS)}


def far(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def test_gradients_are_those_of_float32_and_not_the_scales(build: Build) -> None:
    exact, step = gradients(build("float32"), "float32"), build()
    found = gradients(step)
    assert found.dtype == np.float32 and 0 < far(found, exact) < 0.01
    assert step.loss_scale is not None
    step.loss_scale.scale.assign(FIRST / 4)
    assert far(gradients(step), found) < 0.002
    assert build("float32").loss_scale is None and build("bfloat16").loss_scale is None


def test_the_scale_keeps_small_gradients(build: Build) -> None:
    tiny = 1e-6
    exact, step = gradients(build("float32")), build(weighting=Fixed([1.0, 1.0, tiny]))
    assert far(gradients(step) / tiny, exact) < 0.02
    assert step.loss_scale is not None
    step.loss_scale.scale.assign(1.0)
    assert far(gradients(step) / tiny, exact) > 0.1


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "alternating": (lambda: batch_of(1), {}),
    "accumulated": (lambda: batch_of(1), {"num_accumulated_batches": 2}),
    "attack, R-Drop, averages": (lambda: batch_of(1), {**FGM, "rdrop_alpha": 1.0, "ema_decay": 0.9}),
    "heads not scaled": (lambda: batch_of(1), {"weighting": Fixed([1.0, 2.0, 1.0]), "scale_heads": False}),
    "joint": (joint, {}),
    "Gram matrix of all": (joint, {"weighting": "mgda"}),
    "Gram matrix of some": (joint, {"weighting": "gradnorm"}),
}


def of_case(build: Build, case: str, precision: str) -> tuple[Any, TrainStep]:
    batch, settings = CASES[case]
    weighting = settings.get("weighting")
    made = weighting_of(weighting, "joint", 4) if isinstance(weighting, str) else weighting
    more = {"gram_variables": "all"} if weighting == "mgda" else {}
    return batch(), build(precision, **{**settings, **more, "weighting": made})


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_step_is_close_to_float32s(case: str, build: Build) -> None:
    results = []
    for precision in ("float32", "float16"):
        batch, step = of_case(build, case, precision)
        logs = did(step, batch, precision)
        assert not logs["skipped"] and np.isfinite(logs["grad_norm"])
        results.append(logs)
    exact, found = results
    np.testing.assert_allclose(found["losses"], exact["losses"], rtol=5e-3)
    np.testing.assert_allclose(found["weights"], exact["weights"], rtol=0.02)
    np.testing.assert_allclose(found["grad_norm"], exact["grad_norm"], rtol=0.02)
    assert found["loss_scale"] == FIRST and not found["overflowed"]


@pytest.mark.parametrize("case", CASES)
def test_an_overflow_leaves_the_step_out_and_halves_the_scale(case: str, build: Build) -> None:
    batch, step = of_case(build, case, "float16")
    assert step.loss_scale is not None
    step.loss_scale.scale.assign(OVERFLOWS)
    step.loss_scale.good_steps.assign(7)
    before = state_of(step)
    logs = did(step, batch)
    assert logs["skipped"] and logs["overflowed"] and np.isfinite(logs["losses"]).all()
    assert logs["loss_scale"] == OVERFLOWS / 2 == step.loss_scale.scale.numpy()
    assert (int(step.loss_scale.good_steps), int(step.optimizer.iterations)) == (0, 1)
    for one, other in zip(state_of(step), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_that_are_no_numbers_and_the_smallest_scale_are_no_overflow() -> None:
    scale, losses = LossScale(), tf.constant([1.0, 2.0])
    assert scale.overflowed(tf.constant(np.inf), losses) and scale.overflowed(tf.constant(np.nan), losses)
    assert not scale.overflowed(tf.constant(3.0), losses)
    assert not scale.overflowed(tf.constant(np.nan), tf.constant([1.0, np.nan]))
    scale.scale.assign(SMALLEST)
    assert not scale.overflowed(tf.constant(np.inf), losses)


def test_the_scale_doubles_after_enough_good_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "STEPS_TO_DOUBLE", 3)
    scale, seen = LossScale(), []
    for overflowed in (False, False, True, False, False, False, False):
        scale.update(tf.constant(overflowed))
        seen.append((float(scale.scale) / FIRST, int(scale.good_steps)))
    assert seen == [(1, 1), (1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1, 0), (1, 1)]
    for start, overflowed, end in ((LARGEST, False, LARGEST), (SMALLEST, True, SMALLEST)):
        scale.scale.assign(start)
        scale.good_steps.assign(2)
        scale.update(tf.constant(overflowed))
        assert float(scale.scale) == end


def all_of(model: MultiTaskModel) -> list[np.ndarray]:
    scale = step_of(model).loss_scale
    assert scale is not None
    variables = [*model.variables, *model.optimizer.variables, scale.scale, scale.good_steps]
    return [variable.numpy() for variable in variables]


def scales(run: Path) -> list[float]:
    with open(run / "metrics.csv", encoding="utf-8", newline="") as stream:
        return [float(row["loss_scale"]) for row in csv.DictReader(stream)]


def test_a_stopped_run_goes_on_bit_for_bit_with_its_scale(
    tiny_settings: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**30)  # the first steps overflow
    changes = {"precision": "float16", "num_epochs": 1.0, "save_steps": 3}
    whole = run_training(tiny_settings(model_dir=str(tmp_path / "whole"), **changes)).model
    last = int(whole.optimizer.iterations)
    found = scales(tmp_path / "whole")
    assert len(found) == last and "left out: gradients overflowed float16" in caplog.text
    assert found[:3] == pytest.approx([2.0**29, 2.0**28, 2.0**27], rel=1e-5)  # the log has six digits
    assert found[3] > 2.0**25  # a run that began with the first scale again would differ
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    for path in (tmp_path / "run").glob("model.ckpt-*"):
        if not path.name.startswith(("model.ckpt-0.", "model.ckpt-3.")):
            path.unlink()
    resumed = run_training(tiny_settings(**changes)).model
    assert scales(tmp_path / "run") == found
    for one, other in zip(all_of(whole), all_of(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("before", "after"), [("float16", "float32"), ("float32", "float16"), ("bfloat16", "float16")])
def test_a_run_with_a_scale_goes_on_with_one_and_no_other(
    before: str, after: str, tiny_settings: Callable[..., Any], trained: Callable[..., Path]
) -> None:
    trained(tiny_settings(precision=before))
    with pytest.raises(UserError, match=f"is a run with the precision {before}.*cannot go on with {after}"):
        run_training(tiny_settings(precision=after))


def test_gradients_that_no_scale_mends_stop_the_run(tiny_settings: Callable[..., Any]) -> None:
    class Enormous(MultiTaskModel):
        """Its losses are finite, and their gradients are too large for float16 without any scale."""

        def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
            """A loss of up to 1e12."""
            return 1e12 * super().build_loss(logits, label_ids, task_id)

    with pytest.raises(UserError, match="The gradient of .* set --precision=bfloat16, which has a larger range"):
        run_training(tiny_settings(precision="float16", num_epochs=10), Enormous)


def test_scores_of_float16_are_near_float32s(tiny_settings: Callable[..., Any], trained: Callable[..., Path]) -> None:
    from easytransfer_mtl.evaluation.prediction import Predictor
    from easytransfer_mtl.evaluation.stored_models import stored_model_at

    run = trained(tiny_settings(precision="float16"))
    checkpoint = str(sorted(run.glob("model.ckpt-*.index"))[-1]).removesuffix(".index")
    found = {}
    for precision in ("float32", "float16"):
        predictor = Predictor(stored_model_at(checkpoint), precision=precision)
        found[precision] = predictor.predict("TNEWS", ["0", "1"], [("天地人",), ("山水",)]).probabilities
    assert 0 < np.abs(found["float16"] - found["float32"]).max() < 1e-3
