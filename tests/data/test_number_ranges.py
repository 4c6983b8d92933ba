"""Ranges of numbers: few values have one each, many are divided evenly, equal ones are never parted."""

import numpy as np
import pytest

from easytransfer_mtl.data.number_ranges import number_ranges


def test_few_values_have_a_range_each() -> None:
    names, places = number_ranges(np.array([2.5, 1.0, 2.5, 4.0]), 3)
    assert names == ["1", "2.5", "4"] and places.tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("most", [2, 7, 10])
def test_different_numbers_are_divided_evenly_and_in_order(most: int) -> None:
    numbers = np.random.default_rng(most).permutation(np.arange(500.0))
    names, places = number_ranges(numbers, most)
    sizes = np.bincount(places)
    assert len(names) == len(sizes) == most and np.ptp(sizes) <= 1
    assert all(np.diff(places[np.argsort(numbers)]) >= 0)
    assert names[0] == f"0 to {sizes[0] - 1}" and names[-1].endswith(" to 499")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_frequent_number_has_a_range_to_itself(sign: int) -> None:
    numbers = np.concatenate([np.zeros(90), sign * np.arange(1.0, 11.0)])
    names, places = number_ranges(numbers, 5)
    assert names == (["0", "1 to 10"] if sign == 1 else ["-10 to -1", "0"])
    assert np.bincount(places).tolist() == ([90, 10] if sign == 1 else [10, 90])


def test_equal_numbers_are_never_parted() -> None:
    numbers = np.random.default_rng(3).poisson(20.0, 300).astype(np.float64)
    names, places = number_ranges(numbers, 6)
    assert all(np.ptp(places[numbers == number]) == 0 for number in set(numbers))
    assert len(names) == 6 and np.bincount(places).min() > 25
