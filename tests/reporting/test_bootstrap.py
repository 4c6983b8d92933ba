"""Resampled scores: those of rows drawn by hand, of every metric of every type, paired, the same every time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.evaluation.row_table import RowTexts, TaskRows
from easytransfer_mtl.reporting import bootstrap
from easytransfer_mtl.reporting.bootstrap import Interval, interval_of, resampled_scores, scorer
from easytransfer_mtl.tasks import CLASSIFY, METRICS, MULTI_LABEL, OCNLI, SCORE, TAGS, TNEWS, Task

YES_NO = Task("Q", ("idx", "t", "label"), "t", ("no", "yes"), metric="accuracy")
TAG_NAMES = ("O", "B-A", "I-A", "B-B")
LABELS = {CLASSIFY: ("a", "b", "c", "d"), MULTI_LABEL: ("a", "b", "c"), SCORE: (), TAGS: TAG_NAMES}


def rows_of(task: Task, truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None = None) -> TaskRows:
    about, nothing = RowTexts([], [], True, "f", None), np.zeros(len(truth))
    return TaskRows(task, about, truth, predicted, nothing, nothing, probabilities)


def invented(kind: str, metric: str) -> TaskRows:
    """Seven rows, with ties, labels without a row, and tags of texts of different lengths."""
    random, task = np.random.default_rng(1), Task("Q", (), "t", LABELS[kind], type=kind, metric=metric)
    if kind == CLASSIFY:
        probabilities = random.integers(1, 4, (7, 4)) / 10.0
        return rows_of(task, random.integers(0, 3, 7), probabilities.argmax(axis=1), probabilities)
    if kind == MULTI_LABEL:
        probabilities = random.integers(0, 5, (7, 3)) / 4.0
        return rows_of(task, random.integers(0, 2, (7, 3)), (probabilities > 0.4).astype(int), probabilities)
    if kind == SCORE:
        return rows_of(task, random.integers(0, 4, 7) / 2.0, random.integers(0, 4, 7) / 3.0)
    truth, predicted = random.integers(0, 4, (7, 5)), random.integers(0, 4, (7, 5))
    truth[np.arange(5) >= random.integers(1, 6, (7, 1))] = -1
    return rows_of(task, truth, np.where(truth < 0, -1, predicted))


@pytest.mark.parametrize("labels", ["present", "all"])
@pytest.mark.parametrize(
    ("kind", "metric"),
    [(kind, metric) for kind, metrics in METRICS.items() for metric in metrics if metric != "mean_absolute_error"],
)
def test_scores_of_draws_are_those_of_the_drawn_rows(kind: str, metric: str, labels: str) -> None:
    rows, random = invented(kind, metric), np.random.default_rng(2)
    drawn = random.integers(0, 3, (40, 7)) + np.eye(40, 7, dtype=int)
    drawn[0] = np.eye(7, dtype=int)[3]  # one row, once
    found = scorer(rows, metric, labels)(drawn.astype(float))
    assert np.ptp(found) > 0
    for counts, score in zip(drawn, found, strict=True):
        several: Any = [
            None if part is None else np.repeat(part, counts, axis=0)
            for part in (rows.truth, rows.predicted, rows.probabilities)
        ]
        assert score == pytest.approx(score_task(rows.task, *several[:2], labels, several[2]).score, abs=1e-9)


def test_the_error_of_drawn_numbers() -> None:
    rows, drawn = invented(SCORE, "pearson"), np.array([[2.0, 0, 0, 1, 0, 0, 0]])
    errors = np.abs(rows.truth - rows.predicted)
    assert scorer(rows, "mean_absolute_error")(drawn)[0] == pytest.approx((2 * errors[0] + errors[3]) / 3)


def test_the_spread_is_that_of_drawing_rows() -> None:
    """The accuracy of N rows with a share p of right ones has the standard error sqrt(p (1 - p) / N)."""
    truth, predicted = np.zeros(400, int), (np.arange(400) % 4 == 0).astype(int)
    scores = resampled_scores(rows_of(YES_NO, truth, predicted))
    assert scores.mean() == pytest.approx(0.75, abs=0.003)
    assert scores.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.1)
    interval = interval_of(0.75, scores)
    assert (interval.low, interval.high) == pytest.approx((0.7075, 0.7925), abs=0.006)


def test_models_are_scored_on_the_same_rows() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 15, 300)
    one = np.where(random.random(300) < 0.3, truth, (truth + 1) % 15)
    other = one.copy()
    other[:3] = truth[:3]
    before, after = (resampled_scores(rows_of(TNEWS, truth, predicted)) for predicted in (one, other))
    assert (after - before).std() < 0.3 * before.std()


def test_memory_and_chance_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(OCNLI, np.arange(40) % 3, np.arange(40) // 2 % 3)
    whole = resampled_scores(rows)
    monkeypatch.setattr(bootstrap, "CELLS_AT_A_TIME", 500)
    np.testing.assert_array_equal(resampled_scores(rows), whole)


def test_areas_and_numbers_have_intervals_that_hold_their_score() -> None:
    random = np.random.default_rng(3)
    numbers = random.normal(size=200)
    about = RowTexts([], [], True, "f", None)
    task = Task("N", (), "t", (), type=SCORE)
    rows = TaskRows(task, about, numbers, numbers + random.normal(size=200), numbers, numbers)
    for metric in ("pearson", "spearman"):
        rows = replace(rows, task=replace(task, metric=metric))
        value = score_task(rows.task, rows.truth, rows.predicted).score
        interval = interval_of(value, resampled_scores(rows))
        assert 0.1 < interval.high - interval.low < 0.3 and interval.low < value < interval.high


@pytest.mark.parametrize(("low", "high", "holds"), [(-0.1, 0.2, True), (0, 0.2, True), (0.01, 0.2, False), (-2, -1, False)])
def test_an_interval_that_holds_zero(low: float, high: float, holds: bool) -> None:
    assert Interval(0.05, low, high).holds_zero == holds
