"""The page of a run: pictures that are there, whole, and of what changes."""

import logging
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from easytransfer_mtl.evaluation.run_plot import TITLES, plot_run
from easytransfer_mtl.files import write_json
from easytransfer_mtl.tasks import CONTEST_TASKS

HEADER = "step,task,loss,weight,learning_rate,grad_norm,examples_per_second,grad_share,cos_A,cos_B\n"


def test_many_tasks_are_drawn(tmp_path: Path) -> None:
    names = [f"T{index:02d}" for index in range(16)]
    lines = [HEADER.replace("cos_A,cos_B", ",".join(f"cos_{name}" for name in names))]
    for step in (100, 200):
        for index, name in enumerate(names):
            cosines = ",".join(str(0.01 * (index + other) - 0.2) for other in range(16))
            lines.append(f"{step},{name},{2.0 + index},1,0.1,3,9,{1 / 16},{cosines}\n")
    (tmp_path / "metrics.csv").write_text("".join(lines), encoding="utf-8")
    svg = plot_run(tmp_path, (), tmp_path / "plots", 0)[1].read_text(encoding="utf-8")
    assert "T15" in svg and "the 16 lowest" in svg


def titles(svg: Path) -> list[str]:
    """The titles of the panels, in their order; the SVG names every text in a comment."""
    texts = re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"))
    return [text for text in texts if text in TITLES.values()]


def test_only_what_changes_is_drawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [HEADER, *(f"{step},{task},{2 / step},1,{step / 10},3,9,,,\n" for step in range(1, 9) for task in "AB")]
    (tmp_path / "metrics.csv").write_text("".join(lines), encoding="utf-8")
    with caplog.at_level(logging.INFO):
        assert titles(plot_run(tmp_path, (), tmp_path / "one", 0)[1]) == [TITLES["loss"], TITLES["learning_rate"]]
    assert "not drawn: weight in the objective (it never changes)" in caplog.text
    assert "not drawn: cosine of the task gradients (not measured; train with --log_gradients_every=N)" in caplog.text
    rows = [{"step": step, "weights": "raw", "scores": {"A": step / 9, "B": 0.5}, "mean": step / 18} for step in (0, 4, 8)]
    write_json(tmp_path / "evaluation/summary.json", {"checkpoints": rows})
    found = titles(plot_run(tmp_path, (), tmp_path / "two", 0)[1])
    assert found == [TITLES["loss"], TITLES["score"], TITLES["learning_rate"]]


@pytest.mark.parametrize("measured", [True, False])
def test_pictures_are_whole(measured: bool, tmp_path: Path) -> None:
    names = [task.name for task in CONTEST_TASKS]
    lines = [HEADER.replace("cos_A,cos_B", ",".join(f"cos_{name}" for name in names))]
    for step in range(1, 300):
        for index, name in enumerate(names):
            more = f"{1 / 3},{math.sin(step / 9)},0.5,1" if measured else ",,,"
            lines.append(f"{step},{name},{2.0 / (step + index + 1)},1,0.1,3,9,{more}\n")
    (tmp_path / "metrics.csv").write_text("".join(lines), encoding="utf-8")
    png, svg = plot_run(tmp_path, CONTEST_TASKS, tmp_path / "plots", 0)
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB`\x82")
    tree = ElementTree.fromstring(svg.read_text(encoding="utf-8"))
    assert tree.tag.endswith("svg")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["run.png", "run.svg"]
    again = plot_run(tmp_path, CONTEST_TASKS, tmp_path / "again", 0)[0]
    assert again.read_bytes() == data


def test_command_takes_the_folder_without_a_flag(tiny_settings: Callable[..., Any], tmp_path: Path) -> None:
    from easytransfer_mtl.training.trainer import run_training

    run_training(tiny_settings(step_mode="joint", loss_weighting="upgrad", num_epochs=1))
    command = [sys.executable, "-m", "easytransfer_mtl", "plot", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "run/plots/run.png"), str(tmp_path / "run/plots/run.svg")]
    wrong = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "not the folder of a run" in wrong.stderr
