"""Confidence intervals of scores by resampling the scored rows (the bootstrap).

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. The rows of each task are drawn with replacement, as many as
there are, and scored again. They say how much a score owes to the choice of dev rows; they say nothing about the luck of a
training, for which several seeds are needed.

Every metric is computed from how often each row was drawn: the same values as of the drawn rows themselves, thousands at a
time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from easytransfer_mtl.data.tag_units import NO_TAG
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.reporting.entities import counts_of, entities_of_rows
from easytransfer_mtl.seeding import DEFAULT_SEED, generator
from easytransfer_mtl.tasks import AUC, CLASSIFY, MULTI_LABEL, TAGS

REPLICATES = 2000
CONFIDENCE = 0.95
CELLS_AT_A_TIME = 1 << 22
"""Counts that are in memory at a time."""
Scorer = Callable[[np.ndarray], np.ndarray]
"""Numbers of draws of each row, float64 [B, N] -> the score of each B."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval, the percentiles of the replicates."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether a difference with this interval may be none."""
        return self.low <= 0 <= self.high


def interval_of(value: float, replicates: np.ndarray) -> Interval:
    """Returns a value with the interval of its replicates, float [B]."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def resampled_scores(rows: TaskRows, f1_labels: str = "present", replicates: int = REPLICATES) -> np.ndarray:
    """Scores a model on resampled rows.

    Models that are scored on as many rows of the same task get the same draws, so that their differences are paired.

    Args:
        rows: N rows of a task, whose metric is the score.
        f1_labels: see ``score_task``.
        replicates: B.

    Returns:
        float64 [B].
    """
    score_of = scorer(rows, rows.task.metric, f1_labels)
    random, count = generator(DEFAULT_SEED, "bootstrap", rows.task.name), len(rows.truth)
    size = max(1, CELLS_AT_A_TIME // count)
    parts = []
    for start in range(0, replicates, size):
        many = min(size, replicates - start)
        places = random.integers(0, count, (many, count)) + count * np.arange(many)[:, np.newaxis]
        drawn = np.bincount(places.ravel(), minlength=many * count).reshape(many, count)
        parts.append(score_of(drawn.astype(np.float64)))
    return np.concatenate(parts)


def scorer(rows: TaskRows, metric: str, f1_labels: str = "present") -> Scorer:
    """Returns the function that computes a metric of the rows' task from how often each row is drawn.

    Args:
        rows: N rows; for ``auc`` with probabilities.
        metric: one of ``METRICS`` of the task's type.
        f1_labels: see ``score_task``.
    """
    if metric == AUC:
        assert rows.probabilities is not None
        several = rows.task.type == MULTI_LABEL
        truth = rows.truth if several else rows.truth[:, np.newaxis] == np.arange(rows.task.num_labels)
        return _area_scorer(truth.astype(np.float64), rows.probabilities)
    if metric in ("pearson", "spearman"):
        return _correlation_scorer(rows.truth.astype(np.float64), rows.predicted.astype(np.float64), metric == "spearman")
    if metric == "mean_absolute_error":
        errors = np.abs(rows.truth.astype(np.float64) - rows.predicted.astype(np.float64))
        return lambda drawn: drawn @ errors / drawn.sum(axis=1)
    if metric == "entity_f1":
        counts = _Counts(*(csr_array(column[:, np.newaxis]) for column in counts_of(entities_of_rows(rows)).T))
        return lambda drawn: _micro_f1(*counts.drawn(drawn))
    return _label_scorer(rows, metric, f1_labels)


@dataclass(frozen=True)
class _Counts:
    """Numbers of right, true and predicted occurrences of each label in each row, sparse [N, C]."""

    hits: csr_array
    truth: csr_array
    predicted: csr_array

    def drawn(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns their sums over the drawn rows, [B, C] each."""
        return drawn @ self.hits, drawn @ self.truth, drawn @ self.predicted


def _label_scorer(rows: TaskRows, metric: str, f1_labels: str) -> Scorer:
    kind, counts = rows.task.type, _label_counts(rows)
    if metric == "accuracy" and kind != TAGS:
        right = rows.truth == rows.predicted
        right = (right.all(axis=1) if kind == MULTI_LABEL else right).astype(np.float64)
        return lambda drawn: drawn @ right / drawn.sum(axis=1)
    counts_all = kind == MULTI_LABEL or f1_labels == "all"

    def score_of(drawn: np.ndarray) -> np.ndarray:
        hits, truth, predicted = counts.drawn(drawn)
        if metric == "accuracy":
            return _ratio(hits.sum(axis=1), truth.sum(axis=1))
        if metric == "micro_f1":
            return _micro_f1(hits, truth, predicted)
        if metric == "matthews":
            return _matthews(hits, truth, predicted)
        f1 = _ratio(2 * hits, truth + predicted)
        if metric == "weighted_f1":
            return _ratio((f1 * truth).sum(axis=1), truth.sum(axis=1))
        counted = (truth + predicted > 0).sum(axis=1)
        return f1.sum(axis=1) / (rows.task.num_labels if counts_all else counted)

    return score_of


def _label_counts(rows: TaskRows) -> _Counts:
    truth, predicted, size = rows.truth, rows.predicted, rows.task.num_labels
    if rows.task.type == MULTI_LABEL:
        return _Counts(*(csr_array(part.astype(np.float64)) for part in (truth & predicted, truth, predicted)))
    if rows.task.type == CLASSIFY:
        truth, predicted = truth[:, np.newaxis], predicted[:, np.newaxis]
    tagged = truth != NO_TAG
    numbers = np.nonzero(tagged)[0]

    def counted(labels: np.ndarray, kept: np.ndarray) -> csr_array:
        # Occurrences of a label in a row are added up.
        return csr_array((np.ones(kept.sum()), (numbers[kept], labels[kept])), shape=(len(truth), size))

    one, other, every = truth[tagged], predicted[tagged], np.ones(len(numbers), bool)
    return _Counts(counted(one, one == other), counted(one, every), counted(other, every))


def _micro_f1(hits: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(2 * hits.sum(axis=1), (truth + predicted).sum(axis=1))


def _matthews(hits: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Matthews' correlation of several labels, by Gorodkin 2004."""
    rows = truth.sum(axis=1)
    both = hits.sum(axis=1) * rows - (truth * predicted).sum(axis=1)
    each = [np.square(rows) - np.square(part).sum(axis=1) for part in (truth, predicted)]
    return _ratio(both, np.sqrt(each[0] * each[1]))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


@dataclass(frozen=True)
class _Ties:
    """The order of N values, and where groups of equal ones begin in it."""

    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Ties":
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        return cls(order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])))

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Returns the sums of weights [B, N] over each group, in ascending order."""
        return np.add.reduceat(weights[:, self.order], self.starts, axis=1)

    def ranks(self, drawn: np.ndarray) -> np.ndarray:
        """Returns the mean rank, from 1, of each row's value among the drawn rows, [B, N]."""
        sizes = self.sums(drawn)
        ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
        found = np.empty_like(drawn)
        found[:, self.order] = np.repeat(ranks, np.diff(np.append(self.starts, len(self.order))), axis=1)
        return found


def _area_scorer(truth: np.ndarray, probabilities: np.ndarray) -> Scorer:
    ties = [_Ties.of(column) for column in probabilities.T]

    def score_of(drawn: np.ndarray) -> np.ndarray:
        total, known = np.zeros(len(drawn)), np.zeros(len(drawn))
        for label, tie in enumerate(ties):
            positive, every = tie.sums(drawn * truth[:, label]), tie.sums(drawn)
            negative = every - positive
            below = np.cumsum(negative, axis=1) - negative / 2
            pairs = positive.sum(axis=1) * negative.sum(axis=1)
            total += _ratio((positive * below).sum(axis=1), pairs)
            known += pairs > 0
        return np.where(known > 0, total / np.maximum(1, known), 0.5)

    return score_of


def _correlation_scorer(truth: np.ndarray, predicted: np.ndarray, of_ranks: bool) -> Scorer:
    ties = (_Ties.of(truth), _Ties.of(predicted))

    def score_of(drawn: np.ndarray) -> np.ndarray:
        count = drawn.sum(axis=1, keepdims=True)
        values = [tie.ranks(drawn) for tie in ties] if of_ranks else [truth[np.newaxis], predicted[np.newaxis]]
        one, other = (each - (drawn * each).sum(axis=1, keepdims=True) / count for each in values)
        both, first, second = ((drawn * part).sum(axis=1) for part in (one * other, one * one, other * other))
        # As in the score, numbers that are all the same go with nothing.
        differ = np.logical_and(*((tie.sums(drawn) > 0).sum(axis=1) > 1 for tie in ties))
        return np.where(differ, _ratio(both, np.sqrt(first * second)), 0.0)

    return score_of
