"""metrics.csv and TensorBoard: every step's loss, weight, rate and gradient norm, with the task's name."""

import csv
import io
from pathlib import Path
from typing import Any, TextIO

import tensorflow as tf

from easytransfer_mtl.files import write_text

COLUMNS = ("step", "task", "loss", "weight", "learning_rate", "grad_norm", "examples_per_second")


class MetricsLog:
    """Appends a row a step to metrics.csv and writes TensorBoard scalars per task."""

    def __init__(self, folder: Path, step: int) -> None:
        """Opens the files; rows after ``step``, left by a run that was cut off, are dropped first."""
        self.path = folder / "metrics.csv"
        _keep_until(self.path, step)
        self._stream: TextIO = open(self.path, "a", encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def add(self, row: dict[str, Any]) -> None:
        """Adds a step; ``row`` has ``COLUMNS`` as keys, step counted after the update."""
        self._csv.writerow([_text(row[column]) for column in COLUMNS])
        task = row["task"]
        self._scalars(
            row["step"],
            {
                f"loss/{task}": row["loss"],
                f"weight/{task}": row["weight"],
                "learning_rate": row["learning_rate"],
                "grad_norm": row["grad_norm"],
            },
        )

    def add_average(self, step: int, avg_loss: float) -> None:
        """Adds the running mean of the loss to TensorBoard."""
        self._scalars(step, {"avg_loss": avg_loss})

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes the events themselves: ``tf.summary.scalar`` wants the tensorboard package, which training does not."""
        entries = [tf.compat.v1.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        with self._board.as_default():
            tf.summary.experimental.write_raw_pb(tf.compat.v1.Summary(value=entries).SerializeToString(), step=step)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._stream.flush()
        self._board.flush()

    def close(self) -> None:
        """Writes what is buffered and closes."""
        self._stream.close()
        self._board.close()


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _keep_until(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [row for row in csv.reader(lines[1:]) if len(row) == len(COLUMNS) and row[0].isdigit() and int(row[0]) <= step]
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows([COLUMNS, *rows])
    write_text(path, kept.getvalue())
