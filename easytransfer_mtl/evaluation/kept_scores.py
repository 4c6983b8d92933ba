"""Scores of a run's checkpoints computed during training, stored in its folder so that nothing is evaluated twice."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.kept_outputs import read_outputs, write_outputs
from easytransfer_mtl.evaluation.metrics import ClassScore, LabelScore, TaskScore, mean_score, score_confusion
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import METRICS, MULTI_LABEL, SCORE, TAGS, Task

FILE = "evaluation/during_training.json"
LABEL_COLUMNS = ("precision", "recall", "f1", "support", "counted")
LARGEST = 256 << 20
"""Maximum size of the file in bytes: with a thousand labels, every checkpoint adds a matrix of 10 MB."""


class KeptScores:
    """The scores for one set of dev rows, in a file that every addition rewrites: the confusion matrix of a task that has
    one and needs no more for its metrics, else the numbers of the score.

    Attributes:
        scores: weights -> one score per task, in the order of the weights.
    """

    def __init__(self, folder: Path, data: list[TaskData], precision: str, step: int) -> None:
        """Reads the stored scores of these rows up to ``step``; later ones were left by an interrupted run.

        Raises:
            UserError: the file is damaged.
        """
        self._folder, self._data = folder, data
        self._path, self._rows = folder / FILE, _fingerprint(data, precision)
        kept = read_json(self._path, "scores of a run", LARGEST) if self._path.exists() else {}
        try:
            known = kept["scores"] if kept.get("rows") == self._rows else []
            found = [_from_json(folder, item, data) for item in known if item["step"] <= step]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{self._path} is damaged ({shown(error)}); delete it, and its checkpoints count as new."
            ) from None
        self.scores = dict(sorted(found, key=lambda item: item[0]))

    def add(self, weights: Weights, scores: list[TaskScore], outputs: dict[str, HeadOutput]) -> None:
        """Adds scores and writes the file; of the best weights so far, the last of equal ones, the outputs are kept too."""
        self.scores[weights] = scores
        if mean_score(scores) >= max(map(mean_score, self.scores.values())):
            write_outputs(self._folder, self._made_from(weights), outputs)
        items = [_to_json(weights, scores) for weights, scores in self.scores.items()]
        write_json(self._path, {"rows": self._rows, "scores": items})

    def outputs(self, weights: Weights) -> dict[str, HeadOutput] | None:
        """Returns task name -> outputs of the rows with these weights; None if they were not kept."""
        return read_outputs(self._folder, self._made_from(weights), self._data)

    def _made_from(self, weights: Weights) -> dict[str, Any]:
        return {"rows": self._rows, "step": weights.step, "ema": weights.is_ema}

    def best_of_steps(self) -> dict[int, float]:
        """Returns step -> the highest mean score of the weights of that step."""
        means: dict[int, float] = {}
        for weights, scores in self.scores.items():
            means[weights.step] = max(mean_score(scores), means.get(weights.step, -np.inf))
        return means


def check_same_dev_rows(folder: Path, data: list[TaskData], precision: str) -> None:
    """Raises UserError if the run's stored scores are from other dev rows or another precision."""
    path = folder / FILE
    kept = read_json(path, "scores of a run") if path.exists() else {}
    if isinstance(kept, dict) and kept.get("scores") and kept.get("rows") != _fingerprint(data, precision):
        raise UserError(
            f"{folder} is a run that watches its scores on other dev rows than these (or in another predict_precision), and "
            "cannot go on with scores of both. Bring the old dev files back, leave early_stopping_patience out, or use "
            "another --model_dir. (evaluate scores the run on any files.)"
        )


def _fingerprint(data: list[TaskData], precision: str) -> str:
    digest = hashlib.sha256(precision.encode())
    for item in data:
        digest.update(repr((item.task.name, item.task.label_enumerate_values, len(item.rows))).encode())
        for array in item.rows.content:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _to_json(weights: Weights, scores: list[TaskScore]) -> dict[str, Any]:
    confusions = {score.task.name: score.confusion.tolist() for score in scores if _is_confusion_enough(score)}
    others = {score.task.name: _numbers(score) for score in scores if not _is_confusion_enough(score)}
    return {
        "step": weights.step,
        "ema": weights.is_ema,
        "mean": mean_score(scores),
        "confusion_rows_are_truth": confusions,
        **({"scores": others} if others else {}),
    }


def _is_confusion_enough(score: TaskScore) -> TypeGuard[ClassScore]:
    return isinstance(score, ClassScore) and "auc" not in score.values


def _numbers(score: TaskScore) -> dict[str, Any]:
    found: dict[str, Any] = {"values": score.values, "chance": score.chance, "threshold": score.task.threshold}
    if isinstance(score, LabelScore):
        found |= {name: getattr(score, name).tolist() for name in LABEL_COLUMNS}
    if isinstance(score, ClassScore):
        found["confusion"] = score.confusion.tolist()
    return found


def _from_json(folder: Path, item: dict[str, Any], data: list[TaskData]) -> tuple[Weights, list[TaskScore]]:
    step, is_ema = item["step"], item["ema"]
    if type(step) is not int or type(is_ema) is not bool:
        raise ValueError(f"step {step!r}, ema {is_ema!r}")
    scores = [_score(item, each.task, len(each.rows)) for each in data]
    return Weights.of_step(folder, step, is_ema), scores


def _score(item: dict[str, Any], task: Task, rows: int) -> TaskScore:
    numbers = item.get("scores", {}).get(task.name)
    if numbers is None:
        return score_confusion(task, _matrix(item["confusion_rows_are_truth"][task.name], task, rows))
    task = replace(task, threshold=numbers["threshold"])
    values = {name: float(value) for name, value in numbers["values"].items()}
    if not set(task.metrics) <= set(values) <= set(METRICS[task.type]) or not np.isfinite([*values.values()]).all():
        raise ValueError(f"{task.name}: {shown(values)} are not the values of its metrics")
    about = (task, rows, values, float(numbers["chance"]))
    if task.type == SCORE:
        return TaskScore(*about)
    columns: dict[str, Any] = {name: np.array(numbers[name]) for name in LABEL_COLUMNS}
    if any(column.shape != (task.num_labels,) for column in columns.values()):
        raise ValueError(f"{task.name}: not {task.num_labels} labels")
    if task.type in (MULTI_LABEL, TAGS):
        return LabelScore(*about, **columns)
    return ClassScore(*about, **columns, confusion=_matrix(numbers["confusion"], task, rows))


def _matrix(value: Any, task: Task, rows: int) -> np.ndarray:
    """Returns a confusion matrix from the file.

    Raises:
        ValueError: it is not a matrix of counts for the task's labels, or the counts do not add up to ``rows``.
    """
    found, size = np.array(value), task.num_labels
    is_count = found.shape == (size, size) and found.dtype.kind == "i" and found.min() >= 0 and found.max() <= rows
    if not is_count or found.sum() != rows:
        raise ValueError(f"{task.name}: not {size} x {size} counts of {rows} rows")
    return found
