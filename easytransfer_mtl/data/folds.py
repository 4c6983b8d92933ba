"""Reads and writes the folds of the labelled files' rows: folds.json and one CSV file per task beside it."""

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import read_json, write_json, write_text
from easytransfer_mtl.tasks import ascii_name

NAME, FORMAT_VERSION = "folds.json", 1
COLUMNS = ["id", "fold"]
MOST_FOLDS = 100_000


@dataclass(frozen=True)
class FoldSource:
    """A CSV file that was split: its name, the SHA-256 of its bytes, and its number of good rows."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, eq=False)
class TaskFolds:
    """The folds of one task's N rows.

    Attributes:
        sources: the files; their rows are concatenated in this order.
        ids: the N row ids, unchanged.
        folds: int64 [N].
    """

    sources: tuple[FoldSource, ...]
    ids: list[str]
    folds: np.ndarray

    def of_source(self, sha256: str) -> tuple[FoldSource, np.ndarray] | None:
        """Returns the source with this SHA-256 and the folds of its rows, or None if there is none."""
        start = 0
        for source in self.sources:
            if source.sha256 == sha256:
                return source, self.folds[start : start + source.rows]
            start += source.rows
        return None


@dataclass(frozen=True, eq=False)
class Folds:
    """The content of a fold file: the number of folds K, the seed, and task name -> folds of its rows."""

    num_folds: int
    seed: int
    tasks: dict[str, TaskFolds]

    @property
    def sha256(self) -> str:
        """SHA-256 of the whole content; it does not depend on where the file lies."""
        digest = hashlib.sha256(str(_description(self)).encode("utf-8"))
        for task in self.tasks.values():
            digest.update(_table(task).encode("utf-8"))
        return digest.hexdigest()


def write_folds(folder: str | os.PathLike[str], folds: Folds) -> Path:
    """Writes folds.json and ``<TASK>_folds.csv`` (id, fold; in the order of the files' rows) to ``folder``.

    If the same folds are there already, nothing is written.

    Returns:
        The path of folds.json.

    Raises:
        UserError: the folder holds other folds, which trained models may depend on.
    """
    path = Path(folder) / NAME
    if path.exists():
        if read_folds(path).sha256 != folds.sha256:
            raise UserError(
                f"{path} holds other folds (other files, seed or number of folds), which models may have been trained with. "
                "Use another --output_dir."
            )
        return path
    for name, task in folds.tasks.items():
        write_text(path.with_name(fold_file_name(name)), _table(task))
    write_json(path, _description(folds))
    return path


def read_folds(path: str | os.PathLike[str]) -> Folds:
    """Reads a folds.json with its CSV files.

    Raises:
        UserError: a file is missing or damaged, or the files do not match each other.
    """
    path = Path(path)
    value = read_json(path, "folds file")
    try:
        if value["format_version"] != FORMAT_VERSION:
            raise UserError(f"folds file {path}: unknown format_version; this program writes {FORMAT_VERSION}.")
        num_folds = value["num_folds"]
        if type(num_folds) is not int or not 2 <= num_folds <= MOST_FOLDS:
            raise ValueError(f"num_folds {shown(num_folds)} is no whole number from 2 to {MOST_FOLDS}")
        tasks = {
            name: _read_task(path.with_name(fold_file_name(name)), item["sources"], num_folds)
            for name, item in value["tasks"].items()
        }
        if type(value["seed"]) is not int:
            raise ValueError(f"seed {shown(value['seed'])} is no whole number")
        return Folds(num_folds, value["seed"], tasks)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"folds file {path} is damaged ({str(error)[:300]}); make it again with the split command."
        ) from None


def fold_file_name(task_name: str) -> str:
    """Returns the name of a task's CSV file beside folds.json."""
    return f"{ascii_name(task_name)}_folds.csv"


def _description(folds: Folds) -> dict[str, Any]:
    tasks = {}
    for name, task in folds.tasks.items():
        counts = np.bincount(task.folds, minlength=folds.num_folds).tolist()
        tasks[name] = {"sources": [vars(source) for source in task.sources], "rows_per_fold": counts}
    return {"format_version": FORMAT_VERSION, "num_folds": folds.num_folds, "seed": folds.seed, "tasks": tasks}


def _table(task: TaskFolds) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *zip(task.ids, task.folds.tolist(), strict=True)])
    return stream.getvalue()


def _read_task(path: Path, sources: list[dict[str, Any]], num_folds: int) -> TaskFolds:
    """Reads one task's CSV file and checks it against folds.json."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        ids, folds = [row[0] for row in rows], np.array([int(row[1]) for row in rows], np.int64)
    except (OSError, ValueError, IndexError, OverflowError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read ({str(error)[:300]}); make the folds again with the split command."
        ) from None
    files = tuple(FoldSource(**source) for source in sources)
    if any(not isinstance(file.name, str) or type(file.rows) is not int or file.rows < 0 for file in files):
        raise ValueError(f"the sources of {path.name} are {shown(sources)}")
    wanted = sum(source.rows for source in files)
    if header != COLUMNS or len(ids) != wanted or (folds < 0).any() or (folds >= num_folds).any():
        raise UserError(
            f"{path} should have the columns {','.join(COLUMNS)} and {wanted} rows with folds of 0 to {num_folds - 1}; it "
            f"has {shown(','.join(header))} and {len(ids)} rows. Make the folds again with the split command."
        )
    return TaskFolds(files, ids, folds)
