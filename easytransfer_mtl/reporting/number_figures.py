"""What is shown of a task with a number a row."""

from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.data.number_ranges import number_ranges
from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.reporting.charts import Chart, histogram, scatter
from easytransfer_mtl.reporting.row_list import ListedRow, RowList, plain_texts, worst_places

MOST_RANGES = 8
LEAST_ROWS = 3
"""Rows of a range that has a correlation of its own."""


@dataclass(frozen=True)
class NumberRange:
    """Rows whose true number is in a range: means of the true and the predicted numbers and of the errors.

    ``score`` is the task's metric of these rows alone; None of few rows, and where it is not defined.
    """

    name: str
    rows: int
    truth: float
    predicted: float
    bias: float
    absolute: float
    score: float | None


@dataclass(frozen=True)
class NumberFigures:
    """Predicted over true numbers, the errors (predicted minus true) and their sizes, and the rows with the largest."""

    scatter: Chart
    errors: Chart
    bias: float
    absolute: float
    root_mean_square: float
    spread: float
    ranges: list[NumberRange]
    worst: RowList


def number_figures(rows: TaskRows) -> NumberFigures:
    """Returns the figures of a task of the type ``score``."""
    truth, predicted = rows.truth.astype(np.float64), rows.predicted.astype(np.float64)
    errors, names, places = predicted - truth, *number_ranges(truth, MOST_RANGES)
    return NumberFigures(
        scatter=scatter("Predicted over true numbers", truth, predicted),
        errors=histogram("Errors: predicted minus true", "error", errors, 0.0),
        bias=float(errors.mean()),
        absolute=float(np.abs(errors).mean()),
        root_mean_square=float(np.sqrt(np.square(errors).mean())),
        spread=float(truth.std()),
        ranges=[_range(rows, name, np.flatnonzero(places == place)) for place, name in enumerate(names)],
        worst=_worst(rows, errors, names, places),
    )


def _range(rows: TaskRows, name: str, places: np.ndarray) -> NumberRange:
    truth, predicted = rows.truth[places].astype(np.float64), rows.predicted[places].astype(np.float64)
    defined = len(places) >= LEAST_ROWS and np.ptp(truth) > 0 and np.ptp(predicted) > 0
    errors = predicted - truth
    return NumberRange(
        name=name,
        rows=len(places),
        truth=float(truth.mean()),
        predicted=float(predicted.mean()),
        bias=float(errors.mean()),
        absolute=float(np.abs(errors).mean()),
        score=score_task(rows.task, truth, predicted).score if defined else None,
    )


def _worst(rows: TaskRows, errors: np.ndarray, names: list[str], places: np.ndarray) -> RowList:
    found = []
    for place in worst_places(np.abs(errors)):
        numbers = (f"{rows.truth[place]:.4g}", f"{rows.predicted[place]:.4g}")
        about, right = f"error {errors[place]:+.4g}", bool(errors[place] == 0)
        groups, texts = [int(places[place])], plain_texts(rows, place)
        found.append(ListedRow(rows.about.ids[place], groups, *numbers, right, about, texts))
    return RowList.of("the largest error", "true number", names, found)
