"""Whether probabilities are what they say: bins of confidence, and the expected calibration error.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows whose prediction has a probability from ``low`` to ``high``: their number, mean probability and accuracy."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Bins of one task's rows, those with rows only; the expected calibration error; mean confidence and accuracy."""

    bins: list[Bin]
    error: float
    confidence: float
    accuracy: float


def calibration_of(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Sorts rows into bins of equal width.

    The expected calibration error is the mean over the rows of their bin's |accuracy - mean confidence|.

    Args:
        confidence: probability of each row's prediction, or of each label of several, float [N].
        right: whether it is the label, or one of the row's, bool [N].
        bins: number of bins between 0 and 1.
    """
    places = np.clip((confidence * bins).astype(int), 0, bins - 1)
    found = []
    for place in np.unique(places).tolist():
        mine = places == place
        means = (float(confidence[mine].mean()), float(right[mine].mean()))
        found.append(Bin(place / bins, (place + 1) / bins, int(mine.sum()), *means))
    error = sum(item.rows * abs(item.accuracy - item.confidence) for item in found) / len(confidence)
    return Calibration(found, error, float(confidence.mean()), float(right.mean()))
