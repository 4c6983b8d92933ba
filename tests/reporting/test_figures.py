"""Figures of sets of labels and of numbers, counted by hand."""

from xml.etree import ElementTree

import numpy as np
import pytest

from easytransfer_mtl.evaluation.metrics import LabelScore, score_task
from easytransfer_mtl.evaluation.row_table import RowTexts, TaskRows
from easytransfer_mtl.reporting.charts import MOST_DOTS, histogram, scatter, shares
from easytransfer_mtl.reporting.number_figures import MOST_RANGES, number_figures
from easytransfer_mtl.reporting.set_figures import SetFigures, set_figures
from easytransfer_mtl.tasks import MULTI_LABEL, SCORE, Task

TOPICS = Task("TOPICS", (), "t", ("a", "b", "c"), type=MULTI_LABEL, label_names={"a": "甲"})
GRADES = Task("GRADES", (), "t", (), type=SCORE)


def about(rows: int) -> RowTexts:
    return RowTexts([*map(str, range(rows))], [("天",)] * rows, True, "f", None)


def sets_of(*rows: tuple[str, str], probabilities: np.ndarray | None = None) -> SetFigures:
    """Figures of rows given by their true and their predicted labels."""
    truth, predicted = (np.array([[int(one in each) for one in "abc"] for each in part]) for part in zip(*rows))
    p_label = np.linspace(0.9, 0.1, len(rows))
    score = score_task(TOPICS, truth, predicted)
    assert isinstance(score, LabelScore)
    return set_figures(TaskRows(TOPICS, about(len(rows)), truth, predicted, p_label, p_label, probabilities), score)


def test_wrong_sets_and_what_stands_in_place_of_what() -> None:
    figures = sets_of(("a", "b"), ("a", "b"), ("ab", "a"), ("", "c"), ("abc", "abc"), ("a", "bc"), ("", ""))
    assert [(item.truth, item.predicted, item.rows) for item in figures.sets] == [
        ("a (甲)", "b", 2), ("a (甲), b", "a (甲)", 1), ("∅", "c", 1), ("a (甲)", "b, c", 1),
    ]  # fmt: skip
    assert figures.wrong == 5 and figures.sizes == [("0", 2, 1), ("1", 3, 4), ("2", 1, 1), ("3", 1, 1)]
    assert [head for head, _ in figures.matrix.heads] == ["a", "b", "c", "none"]
    assert [[cell.count for cell in row] for row in figures.matrix.rows] == [
        [2, 3, 1, 0],  # a: found twice, b in its place three times, c once
        [0, 1, 0, 1],  # b was missed once, and nothing else was wrong
        [0, 0, 1, 0],
        [0, 0, 1, 0],  # c was predicted once where nothing was missed
    ]
    assert [(line.code, line.true, line.predicted) for line in figures.labels] == [("b", 2, 4), ("c", 1, 3), ("a", 5, 2)]
    assert figures.by_threshold is None and figures.calibration is None
    first = figures.worst.rows[0]
    assert (first.truth, first.predicted, first.right, first.groups) == ("∅", "∅", True, [])
    second = figures.worst.rows[1]
    assert second.about == "loss 1.46; missed: a (甲); wrong: b, c" and second.groups == [0, 1, 2]


def test_scores_by_threshold_and_calibration_of_decisions() -> None:
    probabilities = np.array([[0.9, 0.3, 0.1], [0.3, 0.7, 0.05]])
    figures = sets_of(("a", "a"), ("b", "b"), probabilities=probabilities)
    assert figures.by_threshold and figures.calibration and figures.roc is None and figures.threshold_metric == "macro-F1"
    assert [line.name for line in figures.by_threshold.legend] == ["macro-F1", "micro-F1", "accuracy"]
    assert [item.rows for item in figures.calibration.bins] == [1, 1, 2, 1, 1]
    assert figures.calibration.accuracy == pytest.approx(1 / 3)


def test_errors_of_numbers_by_their_range() -> None:
    truth, predicted = np.array([1.0, 1, 2, 2, 2, 5]), np.array([1.5, 0.5, 2, 3, 4, 1])
    figures = number_figures(TaskRows(GRADES, about(6), truth, predicted, truth, truth))
    assert figures.bias == pytest.approx(-1 / 6) and figures.absolute == pytest.approx(8 / 6)
    assert figures.root_mean_square == pytest.approx(np.sqrt(21.5 / 6))
    assert [(item.name, item.rows, item.bias, item.absolute, item.score) for item in figures.ranges] == [
        ("1", 2, 0.0, 0.5, None), ("2", 3, 1.0, 1.0, None), ("5", 1, -4.0, 4.0, None),
    ]  # fmt: skip
    assert [(row.truth, row.predicted, row.about) for row in figures.worst.rows[:2]] == [
        ("5", "1", "error -4"), ("2", "4", "error +2"),
    ]  # fmt: skip
    assert figures.worst.rows[-1].right and figures.worst.filters == [(0, "1", 2), (1, "2", 3), (2, "5", 1)]


def test_many_numbers_are_cut_into_ranges_of_as_many_rows() -> None:
    truth = np.random.default_rng(1).permutation(np.arange(800.0))
    figures = number_figures(TaskRows(GRADES, about(800), truth, truth + 1, truth, truth))
    assert len(figures.ranges) == MOST_RANGES and all(abs(item.rows - 100) <= 1 for item in figures.ranges)
    assert [item.truth for item in figures.ranges] == sorted(item.truth for item in figures.ranges)
    assert figures.ranges[0].name == "0 to 99" and figures.ranges[-1].name == "700 to 799"
    assert all(item.score == pytest.approx(1.0) and item.bias == 1.0 for item in figures.ranges)


@pytest.mark.parametrize("rows", [3, MOST_DOTS + 1])
def test_numbers_that_are_all_the_same_are_drawn(rows: int) -> None:
    truth = np.full(rows, 2.0)
    root = ElementTree.fromstring(scatter("S", truth, truth).svg)
    dots, squares = list(root.iter("circle")), list(root.iter("rect"))
    assert (len(dots), len(squares)) == ((3, 0) if rows == 3 else (0, 1))
    assert len(list(ElementTree.fromstring(histogram("H", "error", truth - truth, 0.0).svg).iter("rect"))) == 1


def test_the_marked_place_is_on_the_axis() -> None:
    lines = {"x": [(0.0, 0.0), (1.0, 1.0)]}
    for mark in (0.05, 0.5, 0.95):
        root = ElementTree.fromstring(shares("T", "x", lines, mark).svg)
        (line,) = [each for each in root.iter("line") if each.get("class") == "mark"]
        (curve,) = root.iter("polyline")
        left, right = (float(point.split(",")[0]) for point in curve.get("points", "").split())
        assert float(line.get("x1", "")) == pytest.approx(left + mark * (right - left), abs=0.1)
