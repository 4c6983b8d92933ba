"""Tasks that are not learned are named, once, and others are not."""

import logging
import math

import pytest

from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.step_log import StuckLosses

PLAN = StepPlan(train_steps=1000, save_steps=0, warmup_steps=100)


def warnings_of(caplog: pytest.LogCaptureFixture, ocnli: float, focal_gamma: float = 0.0, steps: int = 300) -> list[str]:
    caplog.clear()
    watch = StuckLosses(CONTEST_TASKS, PLAN, {"OCNLI": focal_gamma})
    for step in range(1, steps + 1):
        watch.see(step, {"TNEWS": 1.5, "OCEMOTION": 1.0} if step % 3 else {"OCNLI": ocnli})
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_loss_that_stays_at_guessing_is_named_once_with_likely_causes(caplog: pytest.LogCaptureFixture) -> None:
    (text,) = warnings_of(caplog, math.log(3))
    assert text.startswith("OCNLI is not learned: after 201 steps its loss is 1.099, guessing gives 1.099.")
    assert "learning rate" in text and "labels" in text


def test_nothing_is_said_of_tasks_that_learn_or_too_early(caplog: pytest.LogCaptureFixture) -> None:
    assert not warnings_of(caplog, 0.9)
    assert not warnings_of(caplog, math.log(3), steps=199)


def test_losses_of_the_warm_up_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    watch = StuckLosses(CONTEST_TASKS, PLAN, {})
    for step in range(1, 401, 8):
        watch.see(step, {"OCNLI": 5.0 if step <= 100 else 1.0})
    assert not caplog.records


def test_focal_factor_lowers_the_loss_of_guessing(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog, math.log(3) * 2 / 3, focal_gamma=1.0)
    assert not warnings_of(caplog, math.log(3) * 2 / 3, focal_gamma=0.0)


def test_rare_tasks_and_resumed_runs_are_judged_when_there_are_enough_losses(caplog: pytest.LogCaptureFixture) -> None:
    watch = StuckLosses(CONTEST_TASKS, PLAN, {})
    for step in range(400, 600, 40):  # five in all, after a resume
        watch.see(step, {"OCNLI": math.log(3)})
    assert [record.getMessage()[:42] for record in caplog.records] == ["OCNLI is not learned: after 560 steps its "]
