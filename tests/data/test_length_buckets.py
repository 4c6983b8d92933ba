"""The chosen lengths waste least: against every other choice, and on shapes where the answer is plain."""

from itertools import combinations

import numpy as np
import pytest

from easytransfer_mtl.data.length_buckets import bucket_count, bucket_lengths


def tokens(lengths: np.ndarray, buckets: np.ndarray) -> int:
    return int(np.asarray(buckets)[np.searchsorted(buckets, lengths)].sum())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_no_other_choice_pads_less(count: int) -> None:
    lengths = np.random.default_rng(count).choice([3, 4, 6, 7, 11, 15, 16, 22, 40], 200)
    found = bucket_lengths(lengths, count)
    sizes = np.unique(lengths)
    assert list(found) == sorted(set(found)) and len(found) == count and found[-1] == 40
    best = min(tokens(lengths, np.array([*others, 40])) for others in combinations(sizes[:-1], count - 1))
    assert tokens(lengths, found) == best


def test_few_distinct_lengths_are_all_kept() -> None:
    np.testing.assert_array_equal(bucket_lengths(np.array([9, 3, 9, 5]), 8), [3, 5, 9])
    np.testing.assert_array_equal(bucket_lengths(np.array([7]), 1), [7])


def test_buckets_are_dense_where_rows_are() -> None:
    lengths = np.concatenate([np.full(1000, size) for size in range(20, 30)] + [np.arange(30, 128)])
    found = bucket_lengths(lengths, 16)
    assert set(range(20, 30)) <= set(found) and found[-1] == 127


def test_few_batches_get_few_lengths() -> None:
    assert [bucket_count(32, batches, 20) for batches in (1, 39, 40, 640, 10_000)] == [1, 1, 2, 32, 32]
