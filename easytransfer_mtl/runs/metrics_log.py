"""metrics.csv and TensorBoard: loss, weight, learning rate and gradients of every task trained in a step."""

import csv
import io
import re
from pathlib import Path
from typing import Any, TextIO

import tensorflow as tf

from easytransfer_mtl.files import naming, write_text
from easytransfer_mtl.runs.board import FOLDER, Hyperparameters, add_hyperparameters, add_scalars

COLUMNS = ("step", "task", "loss", "weight", "learning_rate", "grad_norm", "grad_share")
"""Followed by cos_TASK, the cosine with each task's gradient, and examples_per_second. Cosines and grad_share are empty
where gradients were not measured separately. examples_per_second is last since only it differs between equal runs.
"""


class StepTable:
    """metrics.csv, whose rows belong to steps, and TensorBoard scalars; a resumed run appends to both."""

    def __init__(self, folder: Path, step: int, columns: tuple[str, ...]) -> None:
        """Opens the files, and drops rows after ``step`` that an interrupted run left.

        Args:
            folder: the run's folder.
            step: the step from which training continues; -1 also drops the rows of step 0.
            columns: column names, the first of which is ``step``.
        """
        self.path = folder / "metrics.csv"
        self.columns = columns
        _keep_until(self.path, step, self.columns)
        self._stream: TextIO = open(self.path, "a", encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._board = tf.summary.create_file_writer(str(folder / FOLDER))

    def add_row(self, row: dict[str, Any]) -> None:
        """Adds a row to metrics.csv; columns missing in ``row`` stay empty."""
        with naming(self.path):
            self._csv.writerow([_text(row.get(column, "")) for column in self.columns])

    def add_scalars(self, step: int, values: dict[str, float]) -> None:
        """Adds a step's values to TensorBoard."""
        add_scalars(self._board, step, values)

    def add_hyperparameters(self, values: Hyperparameters) -> None:
        """Adds the run's hyperparameters to TensorBoard."""
        add_hyperparameters(self._board, values)

    def flush(self) -> None:
        """Writes buffered data."""
        with naming(self.path):
            self._stream.flush()
        self._board.flush()

    def close(self) -> None:
        """Writes buffered data and closes the files."""
        with naming(self.path):
            self._stream.close()
        self._board.close()


class MetricsLog(StepTable):
    """Appends one row per step and task to metrics.csv, and writes TensorBoard scalars per task."""

    def __init__(self, folder: Path, step: int, task_names: list[str], more: tuple[str, ...] = ()) -> None:
        """Opens the files, and drops rows after ``step`` that an interrupted run left.

        Args:
            folder: the run's folder.
            step: the step from which training continues.
            task_names: the tasks.
            more: additional columns of this run with one value per step.
        """
        cosines = tuple(f"cos_{name}" for name in task_names)
        self.of_step = ("learning_rate", "grad_norm", *more)
        self.of_task = ("loss", "weight", "grad_share", *cosines)
        super().__init__(folder, step, (*COLUMNS, *more, *cosines, "examples_per_second"))

    def add(self, row: dict[str, Any]) -> None:
        """Adds a task's row of a step; the keys of ``row`` are column names, its step is counted after the update."""
        self.add_row(row)
        task = row["task"]
        values = {name: row[name] for name in self.of_step}
        own = [name for name in self.of_task if name in row]
        self.add_scalars(row["step"], values | {f"{name}/{task}": row[name] for name in own if name != f"cos_{task}"})

    def add_average(self, step: int, avg_loss: float) -> None:
        """Adds the running mean of the loss to TensorBoard."""
        self.add_scalars(step, {"avg_loss": avg_loss})


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _keep_until(path: Path, step: int, columns: tuple[str, ...]) -> None:
    """Rewrites the file with the rows up to ``step``, without damaged rows, since a log must not stop a run."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    header, *rows = [line.split(",") for line in lines] or [list(columns)]
    kept = io.StringIO()
    writer = csv.DictWriter(kept, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(zip(header, row)) for row in rows if len(row) == len(header) and _is_whole(row, step))
    write_text(path, kept.getvalue())


def _is_whole(row: list[str], last_step: int) -> bool:
    return bool(re.fullmatch("[0-9]{1,18}", row[0])) and int(row[0]) <= last_step and "\ufffd" not in "".join(row)
