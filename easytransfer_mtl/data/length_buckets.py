"""Chooses the few lengths that batches are padded to: each new shape costs compile time, each padding token compute time."""

import numpy as np

STEPS_PER_LENGTH = 20
"""Training steps that one more length must serve to be worth its compile time."""


def bucket_count(limit: int, batches: int, batches_per_length: int) -> int:
    """Returns how many lengths are worth compiling: one per ``batches_per_length`` batches, from 1 to ``limit``."""
    return min(limit, max(1, batches // batches_per_length))


def bucket_lengths(lengths: np.ndarray, count: int) -> np.ndarray:
    """Chooses the lengths with the least padding if every row is padded to the next of them.

    Exact, by dynamic programming over the distinct lengths: the cheapest way to cover the first j lengths with k buckets
    extends a cheapest way to cover the first i with k - 1.

    Args:
        lengths: the rows' lengths, int [N], N > 0.
        count: maximum number of buckets.

    Returns:
        Ascending lengths; the last is that of the longest row.
    """
    sizes, rows = np.unique(lengths, return_counts=True)
    if len(sizes) <= count:
        return sizes
    rows_before = np.concatenate([[0], np.cumsum(rows)])
    start, end = np.meshgrid(np.arange(len(sizes)), np.arange(1, len(sizes) + 1), indexing="ij")
    # Number of tokens of the rows with lengths sizes[start:end] if padded to sizes[end - 1].
    tokens = np.where(start < end, sizes[end - 1] * (rows_before[end] - rows_before[start]).astype(float), np.inf)
    cost, starts = tokens[0], []
    for _ in range(count - 1):
        extended = np.concatenate([[np.inf], cost[:-1]])[:, None] + tokens
        starts.append(extended.argmin(axis=0))
        cost = extended.min(axis=0)
    place, chosen = len(sizes) - 1, [len(sizes) - 1]
    for row in reversed(starts):
        place = row[place] - 1
        chosen.append(place)
    return sizes[chosen[::-1]]
