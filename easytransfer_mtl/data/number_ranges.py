"""Ranges of numbers with about equally many of them: what a task with a number a row has in place of labels."""

import numpy as np


def number_ranges(numbers: np.ndarray, most: int) -> tuple[list[str], np.ndarray]:
    """Returns the names of at most ``most`` ranges, in order, and the place of each number's range, int64 [N].

    Up to ``most`` different numbers have a range each. Others are divided by rank, equal numbers by the middle of theirs, so
    that one which is as frequent as several ranges has one to itself, at either end too.

    Args:
        numbers: float [N], N > 0.
        most: largest number of ranges.
    """
    values, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    if len(values) > most:
        middle_ranks = np.cumsum(counts) - (counts + 1) // 2
        starts = np.arange(most) * len(numbers) // most
        places = np.unique(np.searchsorted(starts, middle_ranks, side="right"), return_inverse=True)[1][places]
    parts = [numbers[places == place] for place in range(places.max() + 1)]
    return [f"{part.min():g}" + (f" to {part.max():g}" if np.ptp(part) else "") for part in parts], places
