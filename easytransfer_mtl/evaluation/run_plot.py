"""One page of plots for a run: losses, weights, gradient shares, conflicts between the tasks."""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import real_path, replacing
from easytransfer_mtl.tasks import Task

PAGES = ("run.png", "run.svg")
POINTS = 60
STYLES, MOST_LINES = ("-", "--"), 16
TITLES = {
    "loss": "loss (dotted: guessing)",
    "weight": "weight in the objective",
    "grad_share": "share of the weighted gradient norms",
    "cosine": "cosine of the task gradients",
}
HINT = "plot needs matplotlib: pip install 'easytransfer_mtl[plot]'."
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""


@dataclass
class Series:
    """Values of one task, or of one pair of tasks, by step."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Adds the value of a step."""
        self.steps.append(step)
        self.values.append(value)

    def smoothed(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean steps and mean values of consecutive windows; the last window may be shorter."""
        cuts = np.arange(0, len(self.values), window)
        sizes = np.diff(np.append(cuts, len(self.values)))
        steps, values = (np.add.reduceat(np.array(part, float), cuts) / sizes for part in (self.steps, self.values))
        return steps, values


Panel = dict[str, Series]


def read_metrics(path: Path) -> dict[str, Panel]:
    """Reads metrics.csv into the four panels: losses, weights, gradient shares, cosines (``A and B``).

    Damaged rows are skipped, with a warning that counts them.

    Raises:
        UserError: the file does not exist or holds no step.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: the folder is no run's, or the run has not begun.")
    panels: dict[str, Panel] = {"loss": {}, "weight": {}, "grad_share": {}, "cosine": {}}
    damaged = 0
    with open(path, encoding="utf-8", errors="replace", newline="") as stream:
        # The last line has no line end if the run is still going on or was killed.
        header, *rows = [line.rstrip("\r\n").split(",") for line in stream if line.endswith("\n")] or [[]]
    for values in rows:
        try:
            row = dict(zip(header, values, strict=True))
            if "\ufffd" in row["task"]:
                raise ValueError
            step, task = int(row.pop("step")), row.pop("task")
            _add_row(panels, step, task, {name: float(text) for name, text in row.items() if text})
        except (KeyError, ValueError):
            damaged += 1
    if damaged:
        logging.warning("%s: %d damaged rows are left out", path, damaged)
    if not panels["loss"]:
        raise UserError(f"{path} holds no step yet.")
    return {name: {key: one for key, one in panel.items() if one.values} for name, panel in panels.items()}


def _add_row(panels: dict[str, Panel], step: int, task: str, values: dict[str, float]) -> None:
    for name in ("loss", "weight", "grad_share"):
        panels[name].setdefault(task, Series())
        if name in values:
            panels[name][task].add(step, values[name])
    for column, value in values.items():
        other = column.removeprefix("cos_")
        if other != column and other > task:  # each pair once
            panels["cosine"].setdefault(f"{task} and {other}", Series()).add(step, value)


def plot_run(folder: Path, tasks: tuple[Task, ...], output: Path, window: int) -> list[Path]:
    """Draws a run's page as PNG and SVG.

    Args:
        folder: the run's folder.
        tasks: the model's tasks.
        output: folder for run.png and run.svg.
        window: number of values averaged per point; 0 to show about 60 points.

    Returns:
        The two files.

    Raises:
        UserError: matplotlib is missing, or there is nothing to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(HINT) from None
    panels = read_metrics(folder / "metrics.csv")
    guessing = {task.name: math.log(task.num_labels) for task in tasks}
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    shown = f"every point is the mean of {window} values" if window else f"means of about 1/{POINTS} of the values"
    figure.suptitle(f"{real_path(folder).name}: {shown}")
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, TITLES.items(), strict=True):
        axes.set_title(title)
        axes.set_xlabel("step")
        _draw(axes, name, panels[name], guessing, window)
    return [_saved(figure, output / name, name.partition(".")[2]) for name in PAGES]


def _draw(axes: Any, name: str, panel: Panel, guessing: dict[str, float], window: int) -> None:
    """Draws one panel: a line per series, reference levels, legend."""
    if not panel:
        axes.text(0.5, 0.5, "not measured; train with\n--log_gradients_every=N", ha="center", transform=axes.transAxes)
        return
    window = window or max(1, max(len(series.values) for series in panel.values()) // POINTS)
    if len(panel) > MOST_LINES:
        least = sorted(panel, key=lambda key: sum(panel[key].values) / len(panel[key].values))
        panel = {key: panel[key] for key in least[:MOST_LINES]}
        axes.set_title(f"{axes.get_title()}, the {MOST_LINES} lowest")
    for number, (key, series) in enumerate(panel.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS)]
        steps, values = series.smoothed(window)
        axes.plot(steps, values, style, label=key, color=colour, linewidth=1.4, marker="." if len(steps) < 3 else None)
        if name == "loss" and key in guessing:
            axes.axhline(guessing[key], color=colour, linestyle=":", linewidth=0.8)
    if name == "cosine":
        axes.axhline(0.0, color="grey", linewidth=0.8)
    elif name != "loss" and all(min(series.values) >= 0 for series in panel.values()):
        axes.set_ylim(bottom=0)
    axes.legend(fontsize="small", frameon=False, ncols=1 + len(panel) // 8)


def _saved(figure: Any, path: Path, kind: str) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    return path
