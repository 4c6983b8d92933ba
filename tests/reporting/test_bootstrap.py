"""Resampled scores: those of rows drawn by hand, paired, the same every time."""

import numpy as np
import pytest

from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.reporting import bootstrap
from easytransfer_mtl.reporting.bootstrap import Interval, interval_of, resampled_scores
from easytransfer_mtl.tasks import OCNLI, TNEWS, Task

YES_NO = Task("Q", ("idx", "t", "label"), "t", ("no", "yes"), metric="accuracy")


@pytest.mark.parametrize("labels", ["present", "all"])
@pytest.mark.parametrize("task", [TNEWS, OCNLI, YES_NO], ids=lambda task: task.name)
def test_scores_of_drawn_kinds_are_those_of_the_rows(task: Task, labels: str) -> None:
    random = np.random.default_rng(1)
    kinds = random.integers(0, task.num_labels, (6, 2))
    drawn = random.integers(0, 5, (20, 6)) + np.eye(20, 6, dtype=int)
    found = bootstrap._scores(task, drawn.astype(float), kinds[:, 0], kinds[:, 1], labels)
    for counts, score in zip(drawn, found, strict=True):
        truth, predicted = np.repeat(kinds, counts, axis=0).T
        assert score == pytest.approx(score_task(task, truth, predicted, labels).score, abs=1e-12)


def test_the_spread_is_that_of_drawing_rows() -> None:
    """The accuracy of N rows with a share p of right ones has the standard error sqrt(p (1 - p) / N)."""
    truth, predicted = np.zeros(400, int), (np.arange(400) % 4 == 0).astype(int)
    [scores] = resampled_scores(YES_NO, truth, [predicted])
    assert scores.mean() == pytest.approx(0.75, abs=0.003)
    assert scores.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.1)
    interval = interval_of(0.75, scores)
    assert (interval.low, interval.high) == pytest.approx((0.7075, 0.7925), abs=0.006)


def test_models_are_scored_on_the_same_rows() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 15, 300)
    one = np.where(random.random(300) < 0.3, truth, (truth + 1) % 15)
    drawn = resampled_scores(TNEWS, truth, [one, one])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    other = one.copy()
    other[:3] = truth[:3]
    before, after = resampled_scores(TNEWS, truth, [one, other])
    assert (after - before).std() < 0.3 * before.std()


def test_memory_and_chance_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = np.arange(40) % 3, np.arange(40) // 2 % 3
    whole = resampled_scores(OCNLI, truth, [predicted])
    monkeypatch.setattr(bootstrap, "CELLS_AT_A_TIME", 500)
    np.testing.assert_array_equal(resampled_scores(OCNLI, truth, [predicted]), whole)


@pytest.mark.parametrize(("low", "high", "holds"), [(-0.1, 0.2, True), (0, 0.2, True), (0.01, 0.2, False), (-2, -1, False)])
def test_an_interval_that_holds_zero(low: float, high: float, holds: bool) -> None:
    assert Interval(0.05, low, high).holds_zero == holds
