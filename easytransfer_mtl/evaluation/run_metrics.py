"""A run's curves: what metrics.csv and the scores of its checkpoints say, as series over the steps."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json

PANELS = ("loss", "weight", "learning_rate", "grad_share", "cosine", "rows_per_second")
SET = ("weight", "learning_rate")
"""Panels of values that are not measured; train_config.json has those that never change."""
STEP = "every task"
"""Key of values that a step has once for all its tasks."""
MEAN = "mean"
SUMMARY = "evaluation/summary.json"


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
    """Reads metrics.csv into panels: loss, weight, learning_rate, grad_share, cosine (``A and B``) and rows_per_second.

    Damaged rows are skipped, with a warning that counts them.

    Raises:
        UserError: the file does not exist or holds no step.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: the folder is no run's, or the run has not begun.")
    panels: dict[str, Panel] = {name: {} for name in PANELS}
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
    for name, column in (("learning_rate", "learning_rate"), ("rows_per_second", "examples_per_second")):
        series = panels[name].setdefault(STEP, Series())
        if column in values and series.steps[-1:] != [step]:
            series.add(step, values[column])
    for column, value in values.items():
        other = column.removeprefix("cos_")
        if other != column and other > task:  # each pair once
            panels["cosine"].setdefault(f"{task} and {other}", Series()).add(step, value)


def read_dev_scores(folder: Path) -> Panel:
    """Reads the scores of a run's checkpoints by step: each task's, and the mean; empty if none was scored.

    Moving averages have series of their own, ``A, ema``; the mean of several checkpoints, which is of no step, has none.

    Raises:
        UserError: the file of the scores is damaged.
    """
    path = folder / SUMMARY
    if not path.exists():
        return {}
    value = read_json(path, "scores of a run")
    panel: Panel = {}
    try:
        for row in value["checkpoints"]:
            if row["weights"] != "swa":
                _add_scores(panel, row)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path} is damaged; run evaluate again, which writes it.") from None
    return panel


def _add_scores(panel: Panel, row: dict[str, Any]) -> None:
    kind = "" if row["weights"] == "raw" else f", {row['weights']}"
    for name, score in {**row["scores"], MEAN: row["mean"]}.items():
        panel.setdefault(f"{name}{kind}", Series()).add(int(row["step"]), float(score))


def has_news(name: str, panel: Panel) -> bool:
    """Returns whether a curve of a panel says something: it has values and, if these were set, not measured, they change."""
    set_values = [series.values for series in panel.values()] if name in SET else []
    return bool(panel) and not (set_values and all(min(values) == max(values) for values in set_values))
