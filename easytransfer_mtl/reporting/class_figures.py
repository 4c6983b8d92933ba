"""What is shown of a task with one label a row."""

from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.evaluation.confusions import largest_confusions
from easytransfer_mtl.evaluation.metrics import ClassScore
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.reporting.calibration import Calibration, calibration_of
from easytransfer_mtl.reporting.charts import Chart, reliability
from easytransfer_mtl.reporting.matrix import Label, Matrix, labels_of, matrix_of
from easytransfer_mtl.reporting.roc import roc_chart
from easytransfer_mtl.reporting.row_list import ListedRow, RowList, plain_texts, worst_places


@dataclass(frozen=True)
class ClassFigures:
    """Scores of the labels, confusions, calibration, ROC curves if the task has the metric ``auc``, and the worst rows."""

    labels: list[Label]
    matrix: Matrix
    confusions: list[str]
    calibration: Calibration
    diagram: Chart
    roc: Chart | None
    worst: RowList


def class_figures(rows: TaskRows, score: ClassScore) -> ClassFigures:
    """Returns the figures of a task of the type ``classify``."""
    task, confusion = rows.task, score.confusion
    calibration = calibration_of(rows.p_prediction, rows.truth == rows.predicted)
    axes = ("probability of the prediction", "share that is right")
    roc = None
    if rows.probabilities is not None:
        roc = roc_chart(task, rows.truth[:, np.newaxis] == np.arange(task.num_labels), rows.probabilities)
    return ClassFigures(
        labels=labels_of(score, confusion.sum(axis=0)),
        matrix=matrix_of([(label, task.label_names.get(label, "")) for label in task.label_enumerate_values], confusion),
        confusions=largest_confusions(score, 5),
        calibration=calibration,
        diagram=reliability(f"Reliability of {task.name}", calibration, axes),
        roc=roc,
        worst=_worst(rows),
    )


def _worst(rows: TaskRows) -> RowList:
    loss, named = rows.loss, [rows.task.named(label) for label in rows.task.label_enumerate_values]
    found = []
    for place in worst_places(loss):
        truth, predicted = int(rows.truth[place]), int(rows.predicted[place])
        about = f"loss {loss[place]:.2f}, probability of the label {rows.p_label[place]:.3f}"
        if truth != predicted:
            about += f", of the prediction {rows.p_prediction[place]:.3f}"
        texts = plain_texts(rows, place)
        found.append(
            ListedRow(rows.about.ids[place], [truth], named[truth], named[predicted], truth == predicted, about, texts)
        )
    return RowList.of("the highest loss", "true label", named, found)
