"""What a model says of every scored row: rows.csv, and rows.json that says what its columns are of. No model is needed to
read them.
"""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.data.encoded_rows import encoded_labels, targets_of
from easytransfer_mtl.data.tag_units import NO_TAG, widened
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.evaluation.metrics import LABEL_SETS, TaskScore, score_task
from easytransfer_mtl.evaluation.tables import csv_text
from easytransfer_mtl.files import read_json, sha256_of, write_json, write_text
from easytransfer_mtl.tasks import AUC, MULTI_LABEL, OUTSIDE, SCORE, TAGS, Task, check_tasks, task_from_json

ROWS_CSV, ROWS_JSON = ROW_FILES = ("rows.csv", "rows.json")
COLUMNS = ("task", "id", "text", "second_text", "label", "prediction", "p_label", "p_prediction", "loss", "probabilities")
FORMAT = 2
COLUMNS_OF = {1: COLUMNS[:-1], FORMAT: COLUMNS}
"""Format of rows.json -> the columns of rows.csv; both are read, the last one is written."""
LARGEST = 1 << 30
"""Largest rows.csv that is read, in bytes; the contest's training rows together make 20 MB."""
LONGEST_FIELD = 1 << 21
LEAST = float(np.finfo(np.float32).tiny)
"""The smallest probability that a loss is computed of: a loss is at most 87.3."""


@dataclass(frozen=True)
class RowTexts:
    """One task's N rows as a reader wants to see them.

    Attributes:
        ids: the ids in the contest file; without it row numbers of the TFRecord, from 0.
        texts: one or two texts a row; without the contest file decoded from token ids.
        from_file: whether both are from the contest file.
        file: name of the file.
        source_sha256: SHA-256 of the contest file; None if it is not known.
    """

    ids: list[str]
    texts: list[tuple[str, ...]]
    from_file: bool
    file: str
    source_sha256: str | None


@dataclass(frozen=True, eq=False)
class TaskRows:
    """One task's N scored rows.

    Attributes:
        task: the task.
        about: ids and texts.
        truth: label ids, int [N]; with several labels a row 0 or 1, int [N, C]; of numbers float [N]; of tags
            int [N, U], ``NO_TAG`` where there is none.
        predicted: the predictions, in the same form.
        p_label: probability of the label, float [N]; of several labels a row the product over all labels, of tags their
            geometric mean; NaN of numbers.
        p_prediction: the same of the prediction.
        probabilities: float [N, C], of tags [N, U, C]; None of rows that were read from a file which does not keep them,
            see ``keeps_probabilities``.
    """

    task: Task
    about: RowTexts
    truth: np.ndarray
    predicted: np.ndarray
    p_label: np.ndarray
    p_prediction: np.ndarray
    probabilities: np.ndarray | None = None

    @property
    def loss(self) -> np.ndarray:
        """Cross entropy in nats, of several labels a row their sum, of tags their mean; of numbers the squared error.

        float64 [N].
        """
        if self.task.type == SCORE:
            return np.square(self.truth.astype(np.float64) - self.predicted.astype(np.float64))
        return -np.log(np.maximum(self.p_label.astype(np.float64), LEAST))


@dataclass(frozen=True, eq=False)
class RowTable:
    """What a model says of the rows of all its tasks.

    Attributes:
        name: the model: a checkpoint, the path of a model, or ``average``.
        f1_labels: see ``score_task``.
        tasks: the tasks' rows.
    """

    name: str
    f1_labels: str
    tasks: list[TaskRows]

    def scores(self) -> list[TaskScore]:
        """Returns one score per task."""
        return [score_task(item.task, item.truth, item.predicted, self.f1_labels, item.probabilities) for item in self.tasks]


def keeps_probabilities(task: Task) -> bool:
    """Returns whether rows.csv has the probabilities of all of a task's labels, without which it cannot be scored again."""
    return task.type == MULTI_LABEL or AUC in task.metrics


def task_rows(
    task: Task, about: RowTexts, label_ids: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
) -> TaskRows:
    """Takes a task's targets, see ``EncodedRows``, and what a model says of the rows, see ``HeadOutput``."""
    truth = targets_of(label_ids, task.type)
    if task.type == TAGS:
        width = truth.shape[1]
        probabilities = widened(probabilities, width)[:, :width]
        predicted = widened(predicted, width, task.label_ids[OUTSIDE])[:, :width]
        predicted = np.where(truth == NO_TAG, NO_TAG, predicted)
    p_label, p_prediction = (_probability_of(task, target, probabilities) for target in (truth, predicted))
    return TaskRows(task, about, truth, predicted, p_label, p_prediction, probabilities)


def _probability_of(task: Task, target: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    if task.type == SCORE:
        return np.full(len(target), np.nan, np.float32)
    if task.type == MULTI_LABEL:
        return np.where(target > 0, probabilities, 1.0 - probabilities).prod(axis=1)
    if task.type == TAGS:
        found = np.take_along_axis(probabilities, np.maximum(target, 0)[..., np.newaxis], axis=2)[..., 0]
        logarithms = np.where(target == NO_TAG, 0.0, np.log(np.maximum(found.astype(np.float64), LEAST)))
        return np.exp(logarithms.sum(axis=1) / np.maximum(1, (target != NO_TAG).sum(axis=1)))
    return probabilities[np.arange(len(target)), target]


def write_rows(folder: Path, table: RowTable) -> None:
    """Writes rows.csv and rows.json to ``folder``."""
    write_text(folder / ROWS_CSV, csv_text([COLUMNS, *(line for item in table.tasks for line in _lines(item))]))
    tasks = [
        {
            **item.task.to_json(),
            "rows": len(item.truth),
            "texts": "file" if item.about.from_file else "tokens",
            "file": item.about.file,
            "source_sha256": item.about.source_sha256,
        }
        for item in table.tasks
    ]
    value = {"format_version": FORMAT, "name": table.name, "f1_labels": table.f1_labels, "tasks": tasks}
    write_json(folder / ROWS_JSON, {**value, "rows_sha256": sha256_of(folder / ROWS_CSV)})


def _lines(item: TaskRows) -> Iterator[list[Any]]:
    task, text = item.task, item.task.label_text
    numbers = (item.truth.tolist(), item.predicted.tolist(), item.p_label, item.p_prediction, item.loss)
    kept = item.probabilities if keeps_probabilities(task) else None
    each = [""] * len(item.truth) if kept is None else [" ".join(map(_digits, row)) for row in kept]
    for row_id, texts, truth, predicted, *values, all_labels in zip(
        item.about.ids, item.about.texts, *numbers, each, strict=True
    ):
        first, second = (text.replace("\0", "\ufffd") for text in (*texts, "")[:2])
        yield [task.name, row_id, first, second, text(truth), text(predicted), *map(_digits, values), all_labels]


def _digits(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.9g}"


def read_rows(folder: Path) -> RowTable:
    """Reads rows.csv and rows.json, which are untrusted.

    Raises:
        UserError: a file is missing, damaged or too large, or they are not of one evaluation.
    """
    path, about = folder / ROWS_CSV, folder / ROWS_JSON
    value = read_json(about, "rows.json")
    entries = value.get("tasks") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _damaged(about, "it lists no tasks")
    name, labels = value.get("name"), value.get("f1_labels")
    form = value.get("format_version")
    if type(form) is not int or form not in COLUMNS_OF or not isinstance(name, str) or labels not in LABEL_SETS:
        raise _damaged(about, f"format_version {shown(form)}, f1_labels {shown(labels)}")
    if not path.is_file():
        raise _damaged(path, "it does not exist")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is too large: at most {LARGEST:,} bytes are read.")
    if sha256_of(path) != value.get("rows_sha256"):
        raise _damaged(path, f"its content is not what {ROWS_JSON} beside it was written for")
    tasks = check_tasks(tuple(_task(entry, about) for entry in entries))
    lines = _by_task(path, tasks, COLUMNS_OF[form])
    return RowTable(name, labels, [_task_rows(path, *item, about) for item in zip(tasks, entries, lines, strict=True)])


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged ({what}); run evaluate again, which writes it.")


def _task(entry: dict[str, Any], path: Path) -> Task:
    kinds = {"rows": int, "texts": str, "file": str}
    if not all(type(entry.get(key)) is kind for key, kind in kinds.items()):
        raise _damaged(path, "a task has no rows, texts and file")
    if not isinstance(entry.get("source_sha256"), str | None):
        raise _damaged(path, f"source_sha256 is {shown(entry['source_sha256'])}")
    return task_from_json({key: part for key, part in entry.items() if key not in {*kinds, "source_sha256"}}, str(path))


def _by_task(path: Path, tasks: Sequence[Task], columns: tuple[str, ...]) -> list[list[list[str]]]:
    """Returns the lines of each task."""
    found: dict[str, list[list[str]]] = {task.name: [] for task in tasks}
    try:
        with open(path, encoding="utf-8", newline="") as stream, _long_fields():
            for number, line in enumerate(csv.reader(stream, strict=True)):
                if number == 0 and tuple(line) != columns:
                    raise _damaged(path, f"its first line is not {','.join(columns)}")
                if number and (len(line) != len(columns) or line[0] not in found):
                    raise _damaged(path, f"row {number} (from 1) is {shown(line)}")
                if number:
                    found[line[0]].append(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, str(error)) from None
    return list(found.values())


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _task_rows(path: Path, task: Task, entry: dict[str, Any], lines: list[list[str]], about: Path) -> TaskRows:
    if not lines or len(lines) != entry["rows"]:
        raise _damaged(path, f"{len(lines)} rows of {task.name}, where {about.name} has {entry['rows']}")
    _, ids, first, second, labels, predictions, *numbers = zip(*lines, strict=True)
    texts: list[tuple[str, ...]] = [*zip(first, second, strict=True)] if task.second_sequence else [*zip(first)]
    try:
        truth, predicted = (targets_of(encoded_labels(task, part), task.type) for part in (labels, predictions))
        p_label, p_prediction = (
            np.full(len(lines), np.nan) if task.type == SCORE else np.array(part, np.float64) for part in numbers[:2]
        )
        probabilities = _probabilities(task, truth, p_label, *numbers[3:])
    except ValueError as error:
        raise _damaged(path, f"{task.name}: {shown(error)}") from None
    checked = [] if task.type == SCORE else [p_label, p_prediction]
    checked += [] if probabilities is None else [probabilities]
    # A NaN is not in the range either.
    if not all(((0 <= part) & (part <= 1 + 1e-5)).all() for part in checked):
        raise _damaged(path, f"{task.name}: a probability is not between 0 and 1")
    row_texts = RowTexts(list(ids), texts, entry["texts"] == "file", entry["file"], entry["source_sha256"])
    return TaskRows(task, row_texts, truth, predicted, p_label, p_prediction, probabilities)


def _probabilities(task: Task, truth: np.ndarray, p_label: np.ndarray, *column: tuple[str, ...]) -> np.ndarray | None:
    """Returns float64 [N, C] from the column ``probabilities``, if there is one; None if the file does not have them.

    Of two labels a row's probability of its own one says that of the other too, in files of earlier versions as well.

    Raises:
        ValueError: a row has not one number a label.
    """
    if not keeps_probabilities(task):
        return None
    if column:
        return np.array([text.split() for text in column[0]], np.float64).reshape(len(truth), task.num_labels)
    if task.type == MULTI_LABEL or task.num_labels > 2:
        return None
    return np.where(truth[:, np.newaxis] == np.arange(2), p_label[:, np.newaxis], 1.0 - p_label[:, np.newaxis])
