"""Tasks that a weighting no longer trains are named, once, with the method and what to set."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.training.starved_tasks import StarvedTasks
from easytransfer_mtl.weighting import DWA, FAMO, METHODS, Equal, Fixed, Signals, TaskWeighting

NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]
PLAN = StepPlan(train_steps=200, save_steps=0, warmup_steps=20)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def weights_over(steps: int, weighting: TaskWeighting, losses_at: Callable[[int], list[float]]) -> None:
    watch = StarvedTasks(NAMES, PLAN, weighting)
    for step in range(steps):
        losses = tf.constant(losses_at(step), tf.float32)
        signals = Signals(losses, tf.ones(3, tf.bool), tf.constant(step, tf.int64))
        weights = weighting.weights(signals).numpy()
        weighting.update(signals, losses)
        watch.see(step + 1, weights, dict(zip(NAMES, losses.numpy().tolist())))


def test_famo_with_a_learned_task_starves_the_others_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    weights_over(60, FAMO(3), lambda step: [2.0, 1.2, 1e-4])
    first, second = warnings_of(caplog)
    assert first.startswith(
        "TNEWS starves: for the last 20 steps, up to step 20, loss_weighting famo gave it less than a hundredth of its "
        "share. Its weight is 0.00015, that of OCNLI 3 (losses: TNEWS 2, OCEMOTION 1.2, OCNLI 0.0001). To cure it, raise "
        "--famo_lower_bounds of the task with the most weight"
    )
    assert second.startswith("OCEMOTION starves")


def test_dwa_starves_the_others_where_a_loss_near_0_jumps(caplog: pytest.LogCaptureFixture) -> None:
    weights_over(100, DWA(3, steps_per_epoch=30), lambda step: [2.0, 1.2, 1e-4 if step < 30 else 5e-3])
    assert [text.split(" starves")[0] for text in warnings_of(caplog)] == ["TNEWS", "OCEMOTION"]
    assert all("loss_weighting dwa" in text and "--dwa_temperature" in text for text in warnings_of(caplog))


def test_nothing_is_said_of_fair_weights_of_short_dips_or_of_what_the_user_set(caplog: pytest.LogCaptureFixture) -> None:
    weights_over(60, Equal(3), lambda step: [2.0, 1.2, 1e-9])
    weights_over(60, Fixed([1.0, 1.0, 1e-4]), lambda step: [2.0, 1.2, 1.0])
    weights_over(60, FAMO(3), lambda step: [2.0, 1.2, 1e-4 if step % 20 else 1.0])  # never for 20 steps in a row
    weights_over(19, FAMO(3), lambda step: [2.0, 1.2, 1e-4])
    assert not warnings_of(caplog)


def test_negative_weights_count_by_their_size(caplog: pytest.LogCaptureFixture) -> None:
    watch = StarvedTasks(NAMES, PLAN, Equal(3))
    for step in range(40):
        watch.see(step, np.array([4.0, -1.0, 1e-6]), dict.fromkeys(NAMES, 1.0))
    (text,) = warnings_of(caplog)
    assert text.startswith("OCNLI starves")


@pytest.mark.parametrize("name", METHODS)
def test_every_cure_is_a_sentence_of_settings_that_exist(name: str) -> None:
    cure: Any = METHODS[name].starving_cure
    if name == "fixed":
        assert cure is None
        return
    flags = [word.strip(",.()").split("=")[0] for word in cure.split() if word.strip("(").startswith("--")]
    assert flags or "another method" in cure
    assert {flag.strip("(").removeprefix("--") for flag in flags} <= set(options_of(TrainSettings))
