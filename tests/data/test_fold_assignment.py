"""Folds: rows of one text together, labels evenly spread, the same from the same seed."""

import numpy as np
import pytest

from easytransfer_mtl.data.fold_assignment import assign_folds, assign_folds_by_rarest, group_numbers, text_key
from easytransfer_mtl.seeding import generator


def assigned(labels: np.ndarray, groups: np.ndarray, num_folds: int = 5, seed: int = 1) -> np.ndarray:
    return assign_folds(labels, groups, num_folds, int(labels.max()) + 1, generator(seed, "test"))


def premises(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels of 3 kinds and groups of 1 to 5 rows."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(rows), random.integers(1, 6, rows))[:rows]
    return random.integers(0, 3, rows), random.permutation(groups)


def table(labels: np.ndarray, folds: np.ndarray, num_folds: int) -> np.ndarray:
    counts = np.zeros((labels.max() + 1, num_folds), int)
    np.add.at(counts, (labels, folds), 1)
    return counts


@pytest.mark.parametrize("num_folds", [2, 5, 7])
def test_every_row_has_one_fold_and_groups_are_whole(num_folds: int) -> None:
    labels, groups = premises(500)
    folds = assigned(labels, groups, num_folds)
    assert folds.shape == labels.shape and set(folds) == set(range(num_folds))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))


@pytest.mark.parametrize("num_folds", [2, 5, 10])
def test_single_rows_of_each_label_are_dealt_in_turn(num_folds: int) -> None:
    random = np.random.default_rng(3)
    labels = random.choice(6, 1003, p=[0.4, 0.3, 0.2, 0.07, 0.02, 0.01])
    counts = table(labels, assigned(labels, np.arange(1003), num_folds), num_folds)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert np.ptp(counts.sum(axis=0)) <= 2


def test_labels_of_whole_groups_deviate_little() -> None:
    labels, groups = premises(3000)
    counts = table(labels, assigned(labels, groups), 5)
    shares = counts / counts.sum(axis=0)
    assert np.abs(shares - counts.sum(axis=1, keepdims=True) / 3000).max() < 0.005
    assert np.ptp(counts.sum(axis=0)) <= 0.01 * 600


def test_a_giant_group_fills_a_fold_and_the_others_share_the_rest() -> None:
    labels = np.zeros(100, int)
    groups = np.concatenate([np.zeros(40, int), np.arange(1, 61)])
    sizes = np.bincount(assigned(labels, groups, 3))
    assert sorted(sizes) == [30, 30, 40]


def test_one_seed_gives_one_split_and_another_seed_another() -> None:
    labels, groups = premises(300)
    np.testing.assert_array_equal(assigned(labels, groups, seed=4), assigned(labels, groups, seed=4))
    assert (assigned(labels, groups, seed=4) != assigned(labels, groups, seed=5)).any()


def test_a_label_rarer_than_folds_is_in_as_many_folds_as_it_has_rows() -> None:
    labels = np.array([0] * 50 + [1] * 3)
    counts = table(labels, assigned(labels, np.arange(53)), 5)
    assert sorted(counts[1]) == [0, 0, 1, 1, 1]


def test_no_rows() -> None:
    none = np.zeros(0, np.int64)
    assert assign_folds(none, group_numbers([]), 5, 3, generator(1)).shape == (0,)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("你好,世界", "你好,世界", True),
        (" 你 好\t", "你好", True),
        ("ABC 1", "abc1", True),
        ("你好", "您好", False),
        ("你好!", "你好", False),
        ("", "\u3000", True),
    ],
)
def test_width_case_and_white_space_do_not_make_another_text(one: str, other: str, same: bool) -> None:
    assert (text_key(one) == text_key(other)) == same
    assert len(set(group_numbers([one, other]))) == (1 if same else 2)


def test_groups_are_numbered_in_the_rows_order() -> None:
    assert group_numbers(["b", "a", "B ", "c", "a"]).tolist() == [0, 1, 0, 2, 1]


def several(rows: int, seed: int = 0) -> np.ndarray:
    """Returns which of 12 parts each row is in; the frequent ones go together, the last two are in 7 and 5 rows."""
    random = np.random.default_rng(seed)
    members = random.random((rows, 12)) < [0.5, 0.4, 0.3, 0.2, 0.1, 0.08, 0.05, 0.04, 0.03, 0.02, 0, 0]
    members[:, 1] |= members[:, 0] & (random.random(rows) < 0.5)
    members[random.choice(rows, 7, replace=False), 10] = True
    members[random.choice(rows, 5, replace=False), 11] = True
    return members


@pytest.mark.parametrize("num_folds", [2, 5])
def test_every_one_of_several_labels_is_spread(num_folds: int) -> None:
    members = several(2000)
    folds = assign_folds_by_rarest(members, np.arange(2000), num_folds, generator(1, "test"))
    counts = np.stack([members[folds == fold].sum(axis=0) for fold in range(num_folds)])
    assert (np.ptp(counts, axis=0)[10:] <= 1).all() and np.ptp(np.bincount(folds)) <= 2
    assert (np.ptp(counts, axis=0) <= 6).all()
    drawn = np.random.default_rng(1).permutation(np.arange(2000) % num_folds)
    by_chance = np.stack([members[drawn == fold].sum(axis=0) for fold in range(num_folds)])
    assert np.ptp(counts, axis=0).sum() < 0.2 * np.ptp(by_chance, axis=0).sum()


def test_groups_with_several_labels_are_whole_and_a_seed_decides() -> None:
    members = several(600)
    _, groups = premises(600)
    first, again, other = (assign_folds_by_rarest(members, groups, 4, generator(seed, "test")) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert all(len(set(first[groups == group])) == 1 for group in set(groups))
    assert np.ptp(np.bincount(first)) <= 10


def test_rows_in_no_part_fill_the_folds_up() -> None:
    members = np.zeros((20, 2), bool)
    members[:2] = [[True, False], [True, True]]
    folds = assign_folds_by_rarest(members, np.arange(20), 4, generator(1, "test"))
    assert np.bincount(folds).tolist() == [5, 5, 5, 5] and folds[0] != folds[1]
