"""Confidence intervals of scores by resampling the scored rows (the bootstrap).

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. The rows of each task are drawn with replacement, as many as
there are, and scored again. They say how much a score owes to the choice of dev rows; they say nothing about the luck of a
training, for which several seeds are needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.seeding import DEFAULT_SEED, generator
from easytransfer_mtl.tasks import Task

RESAMPLED = ("macro_f1", "accuracy")
"""Metrics that are resampled."""
REPLICATES = 2000
CONFIDENCE = 0.95
CELLS_AT_A_TIME = 1 << 22
"""Counts that are in memory at a time."""


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


def resampled_scores(
    task: Task,
    truth: np.ndarray,
    predictions: Sequence[np.ndarray],
    f1_labels: str = "present",
    replicates: int = REPLICATES,
) -> np.ndarray:
    """Scores several models on the same resampled rows, so that their differences are paired.

    Rows on which label and all predictions agree are alike, so the numbers of rows of each such kind are drawn, which is the
    same as drawing rows and much faster.

    Args:
        task: its metric is the score.
        truth: label ids, int [N].
        predictions: each model's label ids, int [N].
        f1_labels: see ``score_task``.
        replicates: B.

    Returns:
        float64 [number of models, B].
    """
    kinds, counts = np.unique(np.stack([truth, *predictions], axis=1), axis=0, return_counts=True)
    random = generator(DEFAULT_SEED, "bootstrap", task.name)
    size = max(1, CELLS_AT_A_TIME // len(kinds))
    parts = []
    for start in range(0, replicates, size):
        drawn = random.multinomial(len(truth), counts / len(truth), min(size, replicates - start)).astype(np.float64)
        parts.append(np.stack([_scores(task, drawn, kinds[:, 0], column, f1_labels) for column in kinds[:, 1:].T]))
    return np.concatenate(parts, axis=1)


def _scores(task: Task, drawn: np.ndarray, truth: np.ndarray, predicted: np.ndarray, f1_labels: str) -> np.ndarray:
    """Returns the scores [B] of drawn numbers of rows [B, kinds] with the kinds' labels and predictions [kinds]."""
    right = truth == predicted
    if task.metric == "accuracy":
        return drawn[:, right].sum(axis=1) / drawn.sum(axis=1)
    labels = np.eye(task.num_labels)
    hits = drawn @ (labels[truth] * right[:, np.newaxis])
    both = drawn @ (labels[truth] + labels[predicted])
    f1 = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
    counted = (both > 0).sum(axis=1) if f1_labels == "present" else task.num_labels
    return f1.sum(axis=1) / counted
