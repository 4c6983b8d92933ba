"""What is shown of a task with several labels a row."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.evaluation.metrics import THRESHOLDS, LabelScore, scores_by_threshold, threshold_metric
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.reporting.calibration import Calibration, calibration_of
from easytransfer_mtl.reporting.charts import Chart, reliability, shares
from easytransfer_mtl.reporting.matrix import Label, Matrix, labels_of, matrix_of
from easytransfer_mtl.reporting.roc import roc_chart
from easytransfer_mtl.reporting.row_list import ListedRow, RowList, label_list, plain_texts, worst_places
from easytransfer_mtl.tasks import AUC, METRIC_NAMES, Task

MOST_SETS = 15
MOST_COUNTS = 10
"""Numbers of labels a row that have a line of their own."""
NONE = "none"


@dataclass(frozen=True)
class WrongSet:
    """How many rows with the labels ``truth`` were predicted to have ``predicted``."""

    truth: str
    predicted: str
    rows: int


@dataclass(frozen=True)
class SetFigures:
    """Scores of the labels, and what depends on the probabilities: None of files without them.

    Attributes:
        labels: the labels, the lowest F1 first.
        matrix: missed labels by labels that were predicted in their place; the last ones are none.
        sets: the most common wrong predictions.
        wrong: number of rows with a wrong prediction.
        sizes: (number of labels, rows that have it, rows of which it is predicted).
        by_threshold: the metrics as functions of the threshold, the task's one marked.
        threshold_metric: name of the metric by which ``evaluate`` chose the threshold; None if none depends on it.
        calibration: of all decisions, row by row and label by label.
        diagram: the same as a chart.
        roc: the ROC curves, if the task has the metric ``auc``.
        worst: the rows with the highest loss.
    """

    labels: list[Label]
    matrix: Matrix
    sets: list[WrongSet]
    wrong: int
    sizes: list[tuple[str, int, int]]
    by_threshold: Chart | None
    threshold_metric: str | None
    calibration: Calibration | None
    diagram: Chart | None
    roc: Chart | None
    worst: RowList


def set_figures(rows: TaskRows, score: LabelScore) -> SetFigures:
    """Returns the figures of a task of the type ``multi_label``."""
    task, truth, predicted, probabilities = rows.task, rows.truth, rows.predicted, rows.probabilities
    by_threshold, calibration, diagram, roc = None, None, None, None
    if probabilities is not None:
        by_threshold = _by_threshold(task, truth, probabilities)
        calibration = calibration_of(probabilities.ravel(), truth.ravel() > 0)
        axes = ("probability of a label", "share of rows that have it")
        diagram = reliability(f"Reliability of {task.name}", calibration, axes, "decision")
        roc = roc_chart(task, truth, probabilities) if AUC in task.metrics else None
    chosen_by = threshold_metric(task)
    is_wrong = (truth != predicted).any(axis=1)
    return SetFigures(
        labels=labels_of(score, predicted.sum(axis=0)),
        matrix=_exchanged(task, truth, predicted),
        sets=_wrong_sets(task, truth[is_wrong], predicted[is_wrong]),
        wrong=int(is_wrong.sum()),
        sizes=_sizes(truth.sum(axis=1), predicted.sum(axis=1)),
        by_threshold=by_threshold,
        threshold_metric=METRIC_NAMES[chosen_by] if chosen_by else None,
        calibration=calibration,
        diagram=diagram,
        roc=roc,
        worst=_worst(rows),
    )


def _by_threshold(task: Task, truth: np.ndarray, probabilities: np.ndarray) -> Chart:
    names = dict.fromkeys([*(name for name in task.metrics if name != AUC), "macro_f1", "micro_f1", "accuracy"])
    lines = {
        METRIC_NAMES[name]: list(zip(THRESHOLDS, scores_by_threshold(name, truth, probabilities), strict=True))
        for name in names
    }
    return shares("Scores by threshold, the chosen one marked", "threshold", lines, task.threshold)


def _exchanged(task: Task, truth: np.ndarray, predicted: np.ndarray) -> Matrix:
    """Returns hits on the diagonal and, of every row, each missed label with each wrongly predicted one, or none."""
    missed, wrong = ((part.astype(np.int64)) for part in (truth & ~predicted & 1, predicted & ~truth & 1))
    counts = np.zeros((task.num_labels + 1,) * 2, np.int64)
    counts[:-1, :-1] = missed.T @ wrong
    counts[np.arange(task.num_labels), np.arange(task.num_labels)] = (truth & predicted).sum(axis=0)
    counts[:-1, -1] = missed[~wrong.any(axis=1)].sum(axis=0)
    counts[-1, :-1] = wrong[~missed.any(axis=1)].sum(axis=0)
    heads = [(label, task.label_names.get(label, "")) for label in task.label_enumerate_values]
    return matrix_of([*heads, (NONE, "")], counts)


def _wrong_sets(task: Task, truth: np.ndarray, predicted: np.ndarray) -> list[WrongSet]:
    pairs = Counter(zip(map(tuple, truth.tolist()), map(tuple, predicted.tolist()), strict=True))
    return [WrongSet(_named(task, one), _named(task, other), count) for (one, other), count in pairs.most_common(MOST_SETS)]


def _sizes(truth: np.ndarray, predicted: np.ndarray) -> list[tuple[str, int, int]]:
    counts = [np.bincount(np.minimum(part, MOST_COUNTS), minlength=MOST_COUNTS + 1) for part in (truth, predicted)]
    names = [*map(str, range(MOST_COUNTS)), f"{MOST_COUNTS} or more"]
    return [(name, int(one), int(other)) for name, one, other in zip(names, *counts) if one or other]


def _named(task: Task, chosen: Iterable[int]) -> str:
    return label_list(map(task.named, task.labels_of(chosen)))


def _worst(rows: TaskRows) -> RowList:
    task, loss, found = rows.task, rows.loss, []
    for place in worst_places(loss):
        truth, predicted = rows.truth[place], rows.predicted[place]
        parts = [f"loss {loss[place]:.2f}"]
        for what, chosen in (("missed", truth & ~predicted & 1), ("wrong", predicted & ~truth & 1)):
            parts += [f"{what}: {_named(task, chosen)}"] if chosen.any() else []
        groups, right = np.flatnonzero(truth | predicted).tolist(), bool((truth == predicted).all())
        labels = _named(task, truth), _named(task, predicted)
        found.append(ListedRow(rows.about.ids[place], groups, *labels, right, "; ".join(parts), plain_texts(rows, place)))
    names = [task.named(label) for label in task.label_enumerate_values]
    return RowList.of("the highest loss", "label, true or predicted", names, found)
