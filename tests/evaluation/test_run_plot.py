"""The page of a run: what is read from metrics.csv, and pictures that are there and whole."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.run_plot import Series, plot_run, read_metrics
from easytransfer_mtl.tasks import CONTEST_TASKS

HEADER = "step,task,loss,weight,learning_rate,grad_norm,examples_per_second,grad_share,cos_A,cos_B\n"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.csv").write_text(HEADER + text, encoding="utf-8")
    return folder / "metrics.csv"


def test_metrics_become_four_panels_and_each_pair_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "1,A,2.5,1,0.1,3,9,0.25,1,-0.5\n1,B,1.5,2,0.1,3,9,0.75,-0.5,1\n2,A,2.0,1,0.1,3,9,,,\n")
    panels = read_metrics(path)
    assert panels["loss"]["A"] == Series([1, 2], [2.5, 2.0]) and panels["weight"]["B"] == Series([1], [2.0])
    assert panels["grad_share"]["A"] == Series([1], [0.25])
    assert panels["cosine"] == {"A and B": Series([1], [-0.5])}


@pytest.mark.parametrize("text", [None, ""])
def test_no_run_or_no_step_is_told(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv" if text is None else write(tmp_path, text)
    with pytest.raises(UserError, match="does not exist" if text is None else "holds no step yet"):
        read_metrics(path)


def test_a_line_that_is_cut_off_and_a_run_without_gradients_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,task,loss,weight\n1,A,2.5,1\n2,A,1.2e-", encoding="utf-8")
    panels = read_metrics(path)
    assert panels["loss"] == {"A": Series([1], [2.5])} and panels["grad_share"] == panels["cosine"] == {}


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


def test_smoothing_is_means_of_windows() -> None:
    steps, values = Series(list(range(1, 8)), [1.0, 3, 2, 4, 5, 7, 9]).smoothed(3)
    np.testing.assert_allclose(steps, [2, 5, 7])
    np.testing.assert_allclose(values, [2, 16 / 3, 9])
    assert len(Series([1, 2, 3], [1.0, 2, 3]).smoothed(1)[0]) == 3


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
