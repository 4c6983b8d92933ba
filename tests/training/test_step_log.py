"""The log of a run names the task of every loss that it prints."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from easytransfer_mtl.training.trainer import run_training


def loss_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith("loss = ")]


def test_alternating_steps_name_their_task(tiny_settings: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run_training(tiny_settings(num_epochs=11.3))
    lines = loss_lines(caplog)
    assert re.fullmatch(r"loss = [\d.]+, step = 1, task = TNEWS", lines[0])
    assert re.fullmatch(r"loss = [\d.]+, step = 101 \([\d.]+ sec, \d+ rows/s\), task = OCEMOTION", lines[1])


def test_joint_steps_name_all_tasks_with_their_losses(
    tiny_settings: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run_training(tiny_settings(num_epochs=0.3, step_mode="joint"))
    found = re.fullmatch(
        r"loss = ([\d.]+), step = 1, tasks = TNEWS ([\d.]+), OCEMOTION ([\d.]+), OCNLI ([\d.]+)", loss_lines(caplog)[0]
    )
    assert found and float(found[1]) == pytest.approx(sum(map(float, found.groups()[1:])) / 3, abs=1e-4)
