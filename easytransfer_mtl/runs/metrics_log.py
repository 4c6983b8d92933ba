"""metrics.csv and TensorBoard: loss, weight, rate and gradients of every task that a step trains."""

import csv
import io
import re
from pathlib import Path
from typing import Any, TextIO

import tensorflow as tf

from easytransfer_mtl.files import naming, write_text

COLUMNS = ("step", "task", "loss", "weight", "learning_rate", "grad_norm", "grad_share")
"""After these come cos_TASK, the cosine with each task's gradient, empty as grad_share is where gradients were not measured
apart, and last, since it is the only one that differs from run to run, examples_per_second."""


class StepTable:
    """metrics.csv, whose rows belong to steps, and TensorBoard scalars, appended to from start to start of a run."""

    def __init__(self, folder: Path, step: int, columns: tuple[str, ...]) -> None:
        """Opens the files; rows after ``step``, left by a run that was cut off, are dropped first.

        Args:
            folder: the run's.
            step: what training goes on from; -1 drops the rows of step 0 too.
            columns: the first is ``step``.
        """
        self.path = folder / "metrics.csv"
        self.columns = columns
        _keep_until(self.path, step, self.columns)
        self._stream: TextIO = open(self.path, "a", encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def add_row(self, row: dict[str, Any]) -> None:
        """Adds a row to metrics.csv; columns that ``row`` does not have stay empty."""
        with naming(self.path):
            self._csv.writerow([_text(row.get(column, "")) for column in self.columns])

    def add_scalars(self, step: int, values: dict[str, float]) -> None:
        """Adds values of a step to TensorBoard."""
        # The events themselves: ``tf.summary.scalar`` wants the tensorboard package, which training does not.
        entries = [tf.compat.v1.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        with self._board.as_default():
            tf.summary.experimental.write_raw_pb(tf.compat.v1.Summary(value=entries).SerializeToString(), step=step)

    def flush(self) -> None:
        """Writes what is buffered."""
        with naming(self.path):
            self._stream.flush()
        self._board.flush()

    def close(self) -> None:
        """Writes what is buffered and closes."""
        with naming(self.path):
            self._stream.close()
        self._board.close()


class MetricsLog(StepTable):
    """Appends rows to metrics.csv, one a step and task, and writes TensorBoard scalars per task."""

    def __init__(self, folder: Path, step: int, task_names: list[str], more: tuple[str, ...] = ()) -> None:
        """Opens the files; rows after ``step``, left by a run that was cut off, are dropped first.

        Args:
            folder: the run's.
            step: what training goes on from.
            task_names: the tasks.
            more: columns of the whole step that this run has beside the usual ones.
        """
        cosines = tuple(f"cos_{name}" for name in task_names)
        self.of_step = ("learning_rate", "grad_norm", *more)
        self.of_task = ("loss", "weight", "grad_share", *cosines)
        super().__init__(folder, step, (*COLUMNS, *more, *cosines, "examples_per_second"))

    def add(self, row: dict[str, Any]) -> None:
        """Adds a task's part of a step; ``row`` has the columns as keys, step counted after the update."""
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
    """Writes the file anew with the rows up to ``step``; a damaged row is left out, since a log must stop no run."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    header, *rows = [line.split(",") for line in lines] or [list(columns)]
    kept = io.StringIO()
    writer = csv.DictWriter(kept, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(zip(header, row)) for row in rows if len(row) == len(header) and _is_whole(row, step))
    write_text(path, kept.getvalue())


def _is_whole(row: list[str], last_step: int) -> bool:
    return bool(re.fullmatch("[0-9]{1,18}", row[0])) and int(row[0]) <= last_step and "\ufffd" not in "".join(row)
