"""Exact scores of predicted label ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task

LABEL_SETS = ("present", "all")
Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class TaskScore:
    """Scores of one task's predictions. C is the task's number of labels.

    Attributes:
        rows: number of scored rows.
        macro_f1: unweighted mean of the F1 of the counted labels, not rounded.
        accuracy: share of correct rows.
        precision: [C] float64, in label order; 0 where nothing was predicted.
        recall: [C] float64; 0 for labels without a true row.
        f1: [C] float64.
        support: [C] int64, number of true rows per label.
        counted: [C] bool, the labels that ``macro_f1`` averages over.
        confusion: [C, C] int64, rows are true labels, columns predicted ones.
        chance: score of uniformly random guesses (see ``chance_score``).
    """

    task: Task
    rows: int
    macro_f1: float
    accuracy: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    counted: np.ndarray
    confusion: np.ndarray
    chance: float

    @property
    def score(self) -> float:
        """The value of the task's own metric."""
        return self.accuracy if self.task.metric == "accuracy" else self.macro_f1


def score_task(task: Task, truth: np.ndarray, predicted: np.ndarray, labels: str = "present") -> TaskScore:
    """Scores predicted label ids against the true ones.

    Args:
        task: the task of the ids.
        truth: [N] integers, true label ids.
        predicted: [N] integers, predicted label ids.
        labels: the labels that macro-F1 averages over: ``present``, those in truth or prediction (as scikit-learn and the
            original do), or ``all``, where a label in neither has an F1 of 0.

    Raises:
        UserError: the lengths differ, there is no row, an id is not a label of the task, or ``labels`` is unknown.
    """
    if labels not in LABEL_SETS:
        raise UserError(f"labels={labels!r} is unknown; macro-F1 can average over the labels {' or '.join(LABEL_SETS)}.")
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    _check_ids(task, truth, predicted)
    ids = np.arange(task.num_labels)
    counted = np.isin(ids, np.concatenate([truth, predicted])) if labels == "present" else np.ones(len(ids), bool)
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=ids, zero_division=0)
    return TaskScore(
        task=task,
        rows=len(truth),
        macro_f1=float(f1_score(truth, predicted, labels=ids[counted], average="macro", zero_division=0)),
        accuracy=float(np.mean(truth == predicted)),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        counted=counted,
        confusion=confusion_matrix(truth, predicted, labels=ids),
        chance=chance_score(task, support),
    )


def score_confusion(task: Task, confusion: np.ndarray) -> TaskScore:
    """Returns the score of rows with a given confusion matrix, int [C, C]; the same as that of ``score_task``.

    Raises:
        UserError: the matrix counts no row.
    """
    labels = np.arange(task.num_labels)
    truth, predicted = (np.repeat(ids.ravel(), confusion.ravel()) for ids in np.meshgrid(labels, labels, indexing="ij"))
    return score_task(task, truth, predicted)


def _check_ids(task: Task, truth: np.ndarray, predicted: np.ndarray) -> None:
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        raise UserError(
            f"{task.name}: truth has shape {list(truth.shape)} and prediction {list(predicted.shape)}; both must be [N] "
            "with the same N of at least 1. Predict the same labelled rows that are scored."
        )
    for what, ids in (("true", truth), ("predicted", predicted)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise UserError(f"{task.name}: {what} label ids must be integers, found {ids.dtype}.")
        wrong = np.flatnonzero((ids < 0) | (ids >= task.num_labels))
        if len(wrong):
            raise UserError(
                f"{task.name}: {what} label id {ids[wrong[0]]} at row {wrong[0]} (counted from 0; {len(wrong)} such rows) "
                f"is not one of 0..{task.num_labels - 1}. Check that data and model were made with the same list of labels."
            )


def chance_score(task: Task, support: np.ndarray) -> float:
    """Estimates the score of guessing every label with the same probability.

    Over many rows, guesses of a label c with share p_c of the truth have precision p_c and recall 1/C, so its F1 is 2 (p_c /
    C) / (p_c + 1/C). The estimate is the mean over all C labels, since random guesses hit all of them; for a task scored by
    accuracy it is 1/C.

    Args:
        task: its metric decides which estimate is returned.
        support: [C], number of true rows per label.
    """
    uniform = 1.0 / task.num_labels
    if task.metric == "accuracy":
        return uniform
    share = np.asarray(support) / np.sum(support)
    return float(np.mean(2.0 * share * uniform / (share + uniform)))


def mean_score(scores: Sequence[TaskScore]) -> float:
    """Returns the contest's score, the mean of the tasks' scores.

    Raises:
        UserError: there is no task.
    """
    if not scores:
        raise UserError("There is no task to average over; score at least one task.")
    return sum(score.score for score in scores) / len(scores)


def best_of(means: Mapping[Key, float]) -> Key:
    """Returns the key with the highest mean score, usually a step; of equal ones the last, as in the original.

    Raises:
        UserError: ``means`` is empty.
    """
    if not means:
        raise UserError("There is no checkpoint to choose from; score at least one.")
    return max(means, key=lambda key: (means[key], key))
