"""What weightings cost: every method, beside equal weights of the same round, and a real joint step."""

import pytest

from benchmarks import weighting_speed
from benchmarks.fresh_process import Case, Cost, prepare
from benchmarks.joint_steps import joint_batches, joint_step, weightings
from benchmarks.models import make_model
from benchmarks.training_speed import TimedStep
from benchmarks.weighting_speed import ALTERNATING, weighting_costs
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.weighting import METHODS


def test_every_method_is_measured_beside_equal_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, int]] = []

    def seconds(self: TimedStep, batches: list[dict]) -> float:
        """Notes the weighting and takes a second for each batch of one task."""
        step = self._step.python_function.__self__._step
        seen.append((step.weighting.name, step.settings.gram_variables, len(batches)))
        return float(sum(3 if "TNEWS" in batch else 1 for batch in batches))

    monkeypatch.setattr(TimedStep, "seconds", seconds)
    monkeypatch.setattr(weighting_speed, "cost_of", lambda case: Cost(1.0, 2.0, len(case.weighting or "")))
    costs = weighting_costs((1, 64), (2, 8), CONTEST_TASKS, 2)
    assert set(costs) == {*METHODS, "mgda, last layer", ALTERNATING}
    assert [name for name, _, _ in seen[: len(METHODS)]] == list(METHODS)
    assert seen[len(METHODS)] == ("mgda", "last_layer", 1) and seen[len(METHODS) + 1][::2] == ("equal", 3)
    assert all(cost["ratio"] == {"median": 1, "min": 1, "max": 1} for cost in costs.values())
    assert all(cost["memory_gb"] == (0 if name == ALTERNATING else len(name)) for name, cost in costs.items())


def test_dtp_is_measured_with_its_focal_losses() -> None:
    model = make_model(1, 64, CONTEST_TASKS)
    joint_step(model, *weightings(CONTEST_TASKS)["dtp"])
    assert focal_powers(model) == {1} and model._step.weighting.name == "dtp"
    joint_step(model, *weightings(CONTEST_TASKS)["mgda"])
    assert focal_powers(model) == {0} and model._step.weighting.name == "mgda"


def focal_powers(model: MultiTaskModel) -> set[float]:
    return {loss.focal_gamma for loss in model.task_losses.values()}


def test_a_case_with_a_weighting_is_a_joint_step() -> None:
    step, batches = prepare(Case(1, 64, 2, 8, weighting="mgda, last layer"))
    assert set(batches) == {task.name for task in CONTEST_TASKS} and batches["OCNLI"]["task_id"] == 2
    assert step.seconds([batches]) > 0


def test_batches_have_their_tasks_labels() -> None:
    batches = joint_batches(50, 8, CONTEST_TASKS)
    assert [batch["label_ids"].max() for batch in batches.values()] == [14, 6, 2]
    assert weightings(CONTEST_TASKS)["gradnorm"][1] == "last_layer"
