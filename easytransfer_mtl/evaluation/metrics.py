"""Exact scores of predictions: of one label a row, several labels, a number, or tags."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as entity_f1_score
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
)

from easytransfer_mtl.data.tag_units import NO_TAG, widened
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import AUC, MULTI_LABEL, OUTSIDE, SCORE, TAGS, Task

LABEL_SETS = ("present", "all")
CHANCE = {"matthews": 0.0, "auc": 0.5, "pearson": 0.0, "spearman": 0.0, "entity_f1": 0.0}
"""The score of random guesses, of metrics that have the same one for all data; of entities it is hardly more than 0."""
THRESHOLDS = tuple(percent / 100 for percent in range(5, 96))
Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class TaskScore:
    """Scores of one task's predictions.

    Attributes:
        task: the task; of ``multi_label`` with the threshold that the labels were chosen by.
        rows: number of scored rows.
        values: metric -> value, not rounded: the task's metrics, of labels also macro-F1 and accuracy.
        chance: score of random guesses (see ``chance_score``).
    """

    task: Task
    rows: int
    values: dict[str, float]
    chance: float

    @property
    def score(self) -> float:
        """The value of the task's first metric."""
        return self.values[self.task.metric]


@dataclass(frozen=True, eq=False)
class LabelScore(TaskScore):
    """Scores of predicted labels, or of all rows' tags. C is the task's number of labels.

    Attributes:
        precision: [C] float64, in label order; 0 where nothing was predicted.
        recall: [C] float64; 0 for labels without a true row.
        f1: [C] float64.
        support: [C] int64, number of true rows per label.
        counted: [C] bool, the labels that ``macro_f1`` averages over.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    counted: np.ndarray

    @property
    def macro_f1(self) -> float:
        """Unweighted mean of the F1 of the counted labels."""
        return self.values["macro_f1"]

    @property
    def accuracy(self) -> float:
        """Share of correct rows; with several labels a row, of rows with exactly the true ones; of correct tags."""
        return self.values["accuracy"]


@dataclass(frozen=True, eq=False)
class ClassScore(LabelScore):
    """Scores of one predicted label a row.

    Attributes:
        confusion: [C, C] int64, rows are true labels, columns predicted ones.
    """

    confusion: np.ndarray


def score_task(
    task: Task,
    truth: np.ndarray,
    predicted: np.ndarray,
    labels: str = "present",
    probabilities: np.ndarray | None = None,
) -> TaskScore:
    """Scores predictions against the truth.

    Args:
        task: the task.
        truth: [N] integers, true label ids; with several labels a row [N, C], 0 or 1; of numbers [N] floats; of tags
            [N, U], ``NO_TAG`` behind a row's last one.
        predicted: the predictions, in the same form; of tags U may be another one, and only places with a true
            tag count.
        labels: the labels that macro-F1 averages over if a row has one label, or tags: ``present``, those in truth or
            prediction (as scikit-learn and the original do), or ``all``, where a label in neither has an F1 of 0. With
            several labels a row all of them count, as in scikit-learn.
        probabilities: of all labels, [N, C]; needed by the metric ``auc``, which is left out without them.

    Raises:
        UserError: the lengths differ, there is no row, an id is not a label of the task, or ``labels`` is unknown.
    """
    if labels not in LABEL_SETS:
        raise UserError(f"labels={labels!r} is unknown; macro-F1 can average over the labels {' or '.join(LABEL_SETS)}.")
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if task.type == SCORE:
        return _score_numbers(task, truth, predicted)
    if task.type == TAGS:
        return _score_tags(task, truth, predicted, labels)
    _check_ids(task, truth, predicted)
    if task.type == MULTI_LABEL:
        return _score_labels(task, truth, predicted, probabilities)
    return _score_classes(task, truth, predicted, labels, probabilities)


def _score_classes(
    task: Task, truth: np.ndarray, predicted: np.ndarray, labels: str, probabilities: np.ndarray | None
) -> ClassScore:
    ids = np.arange(task.num_labels)
    counted = np.isin(ids, np.concatenate([truth, predicted])) if labels == "present" else np.ones(len(ids), bool)
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=ids, zero_division=0)
    averaged = {"labels": ids[counted], "zero_division": 0}
    known: dict[str, Callable[[], float]] = {
        "macro_f1": lambda: f1_score(truth, predicted, average="macro", **averaged),
        "micro_f1": lambda: f1_score(truth, predicted, average="micro", **averaged),
        "weighted_f1": lambda: f1_score(truth, predicted, average="weighted", **averaged),
        "accuracy": lambda: np.mean(truth == predicted),
        "matthews": lambda: matthews_corrcoef(truth, predicted),
    }
    if probabilities is not None:
        known["auc"] = lambda: mean_auc(truth[:, np.newaxis] == ids, probabilities)
    return ClassScore(
        task=task,
        rows=len(truth),
        values=_values(task, known),
        chance=chance_score(task, support, len(truth)),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        counted=counted,
        confusion=confusion_matrix(truth, predicted, labels=ids),
    )


def _score_labels(task: Task, truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> LabelScore:
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    known = _metrics_of_labels(truth, predicted)
    if probabilities is not None:
        known["auc"] = lambda: mean_auc(truth, probabilities)
    every = np.ones(task.num_labels, bool)
    chance = chance_score(task, support, len(truth))
    return LabelScore(task, len(truth), _values(task, known), chance, precision, recall, f1, support, every)


def _metrics_of_labels(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Callable[[], float]]:
    found: dict[str, Callable[[], float]] = {
        name: partial(f1_score, truth, predicted, average=name.removesuffix("_f1"), zero_division=0)
        for name in ("macro_f1", "micro_f1", "weighted_f1")
    }
    return {**found, "accuracy": lambda: (truth == predicted).all(axis=1).mean()}


def _score_tags(task: Task, truth: np.ndarray, predicted: np.ndarray, labels: str) -> LabelScore:
    if truth.ndim != 2 or predicted.ndim != 2 or len(truth) != len(predicted) or not len(truth):
        raise _wrong_shapes(task, truth, predicted)
    predicted = widened(predicted, truth.shape[1], task.label_ids[OUTSIDE])[:, : truth.shape[1]]
    tagged = truth != NO_TAG
    if not tagged.any():
        raise UserError(f"{task.name}: none of the {len(truth)} rows has a tag; score rows whose texts are not empty.")
    true_tags, predicted_tags = truth[tagged], predicted[tagged]
    _check_ids(task, true_tags, predicted_tags)
    names = np.array(task.label_enumerate_values)
    sequences = [[names[ids[kept]].tolist() for ids, kept in zip(each, tagged)] for each in (truth, predicted)]
    ids = np.arange(task.num_labels)
    counted = np.isin(ids, np.concatenate([true_tags, predicted_tags])) if labels == "present" else np.ones(len(ids), bool)
    precision, recall, f1, support = precision_recall_fscore_support(true_tags, predicted_tags, labels=ids, zero_division=0)
    averaged = {"labels": ids[counted], "zero_division": 0}
    known: dict[str, Callable[[], float]] = {
        "entity_f1": lambda: entity_f1_score(*sequences, zero_division=0),
        "macro_f1": lambda: f1_score(true_tags, predicted_tags, average="macro", **averaged),
        "weighted_f1": lambda: f1_score(true_tags, predicted_tags, average="weighted", **averaged),
        "accuracy": lambda: np.mean(true_tags == predicted_tags),
    }
    chance = chance_score(task, support, len(true_tags))
    return LabelScore(task, len(truth), _values(task, known), chance, precision, recall, f1, support, counted)


def _score_numbers(task: Task, truth: np.ndarray, predicted: np.ndarray) -> TaskScore:
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        raise _wrong_shapes(task, truth, predicted)
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    known: dict[str, Callable[[], float]] = {
        "pearson": lambda: _correlation(pearsonr, truth, predicted),
        "spearman": lambda: _correlation(spearmanr, truth, predicted),
        "mean_absolute_error": lambda: mean_absolute_error(truth, predicted),
    }
    return TaskScore(task, len(truth), _values(task, known), chance_score(task, np.zeros(0), len(truth)))


def _values(task: Task, known: dict[str, Callable[[], float]]) -> dict[str, float]:
    usual = [] if task.type == SCORE else ["macro_f1", "accuracy"]
    return {name: float(known[name]()) for name in dict.fromkeys([*task.metrics, *usual]) if name in known}


def _correlation(function: Callable[..., Any], truth: np.ndarray, predicted: np.ndarray) -> float:
    """Returns a correlation; 0 if all values of either are the same, or there is one row: nothing goes with anything."""
    if len(truth) < 2 or not np.ptp(truth) or not np.ptp(predicted):
        return 0.0
    return float(function(truth, predicted).statistic)


def mean_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean over the labels of the area under the ROC curve of a label against the others.

    Labels that all rows have, or none, are left out. If there is no other, nothing can be told apart, and the value is 0.5.

    Args:
        truth: [N, C], 0 or 1.
        probabilities: [N, C].
    """
    known = [label for label in range(truth.shape[1]) if 0 < truth[:, label].sum() < len(truth)]
    areas = [roc_auc_score(truth[:, label], probabilities[:, label]) for label in known]
    return float(np.mean(areas)) if areas else 0.5


def best_threshold(task: Task, truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the threshold of a ``multi_label`` task with the highest value of its first metric that depends on it.

    It is one of 0.05, 0.06, ... 0.95; of equally good ones the nearest to 0.5. A task with the metric ``auc`` alone, which
    depends on none, keeps its own.

    Args:
        task: the task.
        truth: [N, C], 0 or 1.
        probabilities: [N, C].
    """
    metric = threshold_metric(task)
    if metric is None:
        return task.threshold
    values = scores_by_threshold(metric, truth, probabilities)
    return max(zip(values, THRESHOLDS, strict=True), key=lambda pair: (pair[0], -abs(pair[1] - 0.5)))[1]


def threshold_metric(task: Task) -> str | None:
    """Returns the first metric of a ``multi_label`` task that depends on its threshold; None if none does."""
    return next((name for name in task.metrics if name != AUC), None)


def scores_by_threshold(metric: str, truth: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """Returns the value of a metric of several labels a row at each of ``THRESHOLDS``; arguments as ``best_threshold``."""
    predicted = ((probabilities >= threshold).astype(np.int32) for threshold in THRESHOLDS)
    return [float(_metrics_of_labels(truth, labels)[metric]()) for labels in predicted]


def score_confusion(task: Task, confusion: np.ndarray) -> TaskScore:
    """Returns the score of rows with a given confusion matrix, int [C, C]; the same as that of ``score_task``.

    Raises:
        UserError: the matrix counts no row.
    """
    labels = np.arange(task.num_labels)
    truth, predicted = (np.repeat(ids.ravel(), confusion.ravel()) for ids in np.meshgrid(labels, labels, indexing="ij"))
    return score_task(task, truth, predicted)


def _check_ids(task: Task, truth: np.ndarray, predicted: np.ndarray) -> None:
    several, end = task.type == MULTI_LABEL, 2 if task.type == MULTI_LABEL else task.num_labels
    fits = truth.shape[1:] == (task.num_labels,) if several else truth.ndim == 1
    if not fits or truth.shape != predicted.shape or not len(truth):
        raise _wrong_shapes(task, truth, predicted)
    for what, ids in (("true", truth), ("predicted", predicted)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise UserError(f"{task.name}: {what} label ids must be integers, found {ids.dtype}.")
        wrong = np.argwhere((ids < 0) | (ids >= end))
        if len(wrong):
            raise UserError(
                f"{task.name}: {what} label id {ids[tuple(wrong[0])]} at row {wrong[0][0]} (counted from 0; {len(wrong)} "
                f"such rows) is not one of 0..{end - 1}. Check that data and model were made with the same list of labels."
            )


def _wrong_shapes(task: Task, truth: np.ndarray, predicted: np.ndarray) -> UserError:
    shape = {MULTI_LABEL: f"[N, {task.num_labels}]", TAGS: "[N, U]"}.get(task.type, "[N]")
    return UserError(
        f"{task.name}: truth has shape {list(truth.shape)} and prediction {list(predicted.shape)}; both must be {shape} "
        "with the same N of at least 1. Predict the same labelled rows that are scored."
    )


def chance_score(task: Task, support: np.ndarray, rows: int) -> float:
    """Estimates the score of guessing every label with the same probability: 1/C, or 1/2 of several labels a row.

    Over many rows, guesses of a label c with share p_c of the truth have precision p_c and recall 1/C, so its F1 is 2 (p_c /
    C) / (p_c + 1/C). Macro-F1 is the mean over all C labels, since random guesses hit all of them; weighted F1 weighs them
    by p_c; accuracy and micro-F1 of one label a row are 1/C. With several labels a row, accuracy is 2^-C, and micro-F1 that
    of all decisions together. Areas are 0.5, correlations 0.

    Args:
        task: its first metric decides which estimate is returned.
        support: [C], number of true rows per label.
        rows: N.
    """
    if task.metric in CHANCE:
        return CHANCE[task.metric]
    several = task.type == MULTI_LABEL
    guessed = 0.5 if several else 1.0 / task.num_labels
    if task.metric == "accuracy":
        return float(0.5**task.num_labels) if several else guessed
    share = np.asarray(support) / rows
    if task.metric == "micro_f1":
        return float(2.0 * share.mean() * guessed / (share.mean() + guessed)) if several else guessed
    f1 = 2.0 * share * guessed / (share + guessed)
    return float(f1 @ share / share.sum()) if task.metric == "weighted_f1" and share.any() else float(np.mean(f1))


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
