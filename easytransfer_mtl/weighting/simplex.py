"""Weights on the simplex that are moved by projected gradient steps."""

import numpy as np


def projected(point: np.ndarray) -> np.ndarray:
    """Returns the point of the simplex {w >= 0, sum w = 1} that is nearest to ``point`` [K], float64.

    The largest element is subtracted first, which moves nothing: points as large as 1e300 lose no digits of the sum.
    """
    below = point - point.max()
    falling = np.sort(below)[::-1]
    levels = (np.cumsum(falling) - 1.0) / np.arange(1, len(point) + 1)
    level = levels[np.flatnonzero(falling > levels)[-1]]
    found = np.maximum(below - level, 0.0)
    return found / found.sum()
