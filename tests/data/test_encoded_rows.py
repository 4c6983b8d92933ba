"""Rows in flat arrays give the same batches as padded ones."""

from dataclasses import replace

import numpy as np
import pytest

from easytransfer_mtl.data.encoded_rows import EncodedRows, concatenate, from_arrays, from_features
from easytransfer_mtl.data.features import Features

FEATURES = [Features([2, 5, 3], 3), Features([2, 5, 3, 6, 7, 3], 3), Features([2, 3], 2)]
LABELS = [4, 0, 2]
IDS = [[2, 5, 3, 0, 0, 0], [2, 5, 3, 6, 7, 3], [2, 3, 0, 0, 0, 0]]
MASK = [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]]
SEGMENTS = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]


def rows() -> EncodedRows:
    return from_features(FEATURES, LABELS)


def assert_same(one: EncodedRows, other: EncodedRows) -> None:
    for name in ("input_ids", "segment_ids", "offsets", "label_ids"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


def test_types_and_sizes() -> None:
    encoded = rows()
    assert len(encoded) == 3
    assert encoded.lengths.tolist() == [3, 6, 2]
    types = [array.dtype for array in (encoded.input_ids, encoded.segment_ids, encoded.offsets, encoded.label_ids)]
    assert types == [np.int32, np.uint8, np.int64, np.int32]


def test_a_batch_is_padded_to_its_longest_row() -> None:
    batch = rows().batch(np.array([0, 1, 2]))
    np.testing.assert_array_equal(batch["input_ids"], IDS)
    np.testing.assert_array_equal(batch["input_mask"], MASK)
    np.testing.assert_array_equal(batch["segment_ids"], SEGMENTS)
    np.testing.assert_array_equal(batch["label_ids"], LABELS)
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}
    assert rows().batch(np.array([2, 0]))["input_ids"].tolist() == [[2, 3, 0], [2, 5, 3]]


def test_rows_come_in_the_order_asked_for_and_may_repeat() -> None:
    batch = rows().batch(np.array([2, 1, 2]))
    assert batch["label_ids"].tolist() == [2, 0, 2]
    np.testing.assert_array_equal(batch["input_ids"], [IDS[2], IDS[1], IDS[2]])


def test_a_batch_may_be_padded_further() -> None:
    batch = rows().batch(np.array([2]), np.array([5, 7]))
    assert batch["input_ids"].tolist() == [[2, 3, 0, 0, 0]]
    assert batch["input_mask"].tolist() == [[1, 1, 0, 0, 0]]


def test_padded_arrays_give_the_same_rows() -> None:
    arrays = from_arrays(np.array(IDS), np.array([3, 6, 2]), np.array(SEGMENTS), np.array(LABELS))
    assert_same(arrays, rows())


def test_without_labels_they_are_zeros() -> None:
    assert from_features(FEATURES).label_ids.tolist() == [0, 0, 0]


def test_features_may_come_one_by_one() -> None:
    assert_same(from_features(iter(FEATURES), iter(LABELS)), rows())


def test_joined_parts_are_the_rows_in_order() -> None:
    parts = [from_features(FEATURES[:1], LABELS[:1]), from_features([], []), from_features(FEATURES[1:], LABELS[1:])]
    assert_same(concatenate(parts), rows())


def test_a_teachers_probabilities_are_joined_where_every_part_has_them() -> None:
    teacher = np.arange(6, dtype=np.float32).reshape(3, 2)
    one = replace(rows(), teacher=teacher)
    np.testing.assert_array_equal(concatenate([one, one]).teacher, np.concatenate([teacher, teacher]))
    assert concatenate([one, rows()]).teacher is None and concatenate([rows()]).teacher is None


@pytest.mark.parametrize("empty", [concatenate([]), from_features([])], ids=["no parts", "no features"])
def test_no_rows(empty: EncodedRows) -> None:
    assert len(empty) == 0 and empty.lengths.tolist() == [] and empty.offsets.tolist() == [0]
    assert_same(concatenate([empty, rows()]), rows())


def test_the_first_rows() -> None:
    assert_same(rows().first(2), from_features(FEATURES[:2], LABELS[:2]))
    assert_same(rows().first(0), from_features([], []))
    assert_same(rows().first(9), rows())


def test_random_batches_equal_padding_by_hand() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 30, 50)
    firsts = [int(random.integers(1, length + 1)) for length in lengths]
    features = [Features(random.integers(1, 99, length).tolist(), first) for length, first in zip(lengths, firsts)]
    encoded = from_features(features, range(50))
    for size in (1, 4, 17):
        chosen = random.integers(0, 50, size)
        batch = encoded.batch(chosen)
        longest = max(lengths[chosen])
        assert batch["input_ids"].shape == (size, longest)
        for place, number in enumerate(chosen):
            ids, first, padding = features[number].input_ids, firsts[number], [0] * (longest - lengths[number])
            assert batch["input_ids"][place].tolist() == ids + padding
            assert batch["input_mask"][place].tolist() == [1] * len(ids) + padding
            assert batch["segment_ids"][place].tolist() == [0] * first + [1] * (len(ids) - first) + padding


@pytest.mark.parametrize("numbers", [[0, 1, 2], [2, 0], [1, 1], []])
def test_taken_rows_are_those_of_the_numbers(numbers: list[int]) -> None:
    expected = from_features([FEATURES[number] for number in numbers], [LABELS[number] for number in numbers])
    assert_same(rows().take(np.array(numbers, np.int64)), expected)
