"""Training batches are functions of the step; every epoch holds every row once; grouping changes padding only."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.data.encoded_rows import EncodedRows, from_features
from easytransfer_mtl.data.features import Features
from easytransfer_mtl.data.pipeline import RowOrder, TaskBatches, TrainingBatches, evaluation_batches
from easytransfer_mtl.data.task_order import TaskOrder


def encoded(lengths: np.ndarray | list[int], first_label: int = 0) -> EncodedRows:
    """Rows whose label is their number, so that batches tell which rows they hold."""
    return from_features(
        [Features([2] + [5] * (int(length) - 1), int(length)) for length in lengths],
        range(first_label, first_label + len(lengths)),
    )


def order(num_rows: int, batch_size: int, **changes: Any) -> RowOrder:
    values: dict[str, Any] = {"seed": 123123, "name": "TNEWS", "shuffle": True}
    return RowOrder(num_rows=num_rows, batch_size=batch_size, **{**values, **changes})


def stream(rows: RowOrder, batches: int) -> np.ndarray:
    return np.concatenate([rows.batch_rows(index) for index in range(batches)])


@pytest.mark.parametrize(("num_rows", "batch_size"), [(12, 4), (10, 4), (7, 7), (3, 8), (1, 4), (5, 1)])
def test_every_epoch_holds_every_row_once(num_rows: int, batch_size: int) -> None:
    drawn = stream(order(num_rows, batch_size), 60)
    for epoch in range(60 * batch_size // num_rows):
        assert sorted(drawn[epoch * num_rows : (epoch + 1) * num_rows]) == list(range(num_rows))


def test_epochs_tasks_and_seeds_have_different_orders() -> None:
    epochs = stream(order(50, 50), 3)
    others = [stream(order(50, 50, name="OCNLI"), 1), stream(order(50, 50, seed=1), 1)]
    orders = {tuple(part) for part in [*epochs.reshape(3, 50), *others]}
    assert len(orders) == 5 and tuple(range(50)) not in orders


def test_without_shuffling_the_files_order_repeats() -> None:
    assert stream(order(5, 3, shuffle=False), 5).tolist() == [0, 1, 2, 3, 4] * 3


def test_batches_are_always_full_and_reach_over_the_epochs_end() -> None:
    rows = order(10, 4)
    batches = [rows.batch_rows(index) for index in range(5)]
    assert [len(batch) for batch in batches] == [4] * 5
    assert not set(batches[2][:2]) & set(np.concatenate(batches[:2]))  # the first epoch's last rows
    assert sorted([*batches[2][2:], *batches[3], *batches[4]]) == list(range(10))


@pytest.mark.parametrize("group", [1, 3])
def test_a_batch_is_the_same_whatever_was_asked_before(group: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 23)
    one_by_one = order(23, 4, group=group, lengths=lengths)
    expected = [one_by_one.batch_rows(index).tolist() for index in range(40)]
    jumping = order(23, 4, group=group, lengths=lengths)
    for index in [39, 0, 17, 17, 3, 38, 5, *range(39, -1, -1)]:
        assert jumping.batch_rows(index).tolist() == expected[index]
        assert order(23, 4, group=group, lengths=lengths).batch_rows(index).tolist() == expected[index]


@pytest.mark.parametrize(("num_rows", "group"), [(200, 5), (37, 5), (9, 5)])
def test_grouping_keeps_the_rows_of_every_window(num_rows: int, group: int) -> None:
    lengths = np.random.default_rng(1).integers(3, 128, num_rows)
    plain, grouped = order(num_rows, 8), order(num_rows, 8, group=group, lengths=lengths)
    for window in range(6):
        indices = range(window * group, (window + 1) * group)
        rows = [Counter(np.concatenate([kind.batch_rows(index) for index in indices]).tolist()) for kind in (plain, grouped)]
        assert rows[0] == rows[1]


def test_grouping_reduces_padding_much() -> None:
    lengths = np.clip(np.random.default_rng(2).lognormal(3.4, 0.6, 4000).astype(int), 3, 128)
    padding = {}
    for group in (1, 50):
        rows = order(4000, 16, group=group, lengths=lengths)
        batches = [lengths[rows.batch_rows(index)] for index in range(250)]
        padding[group] = sum(batch.max() * len(batch) - batch.sum() for batch in batches)
    assert padding[50] < 0.1 * padding[1]


def test_grouped_batches_come_in_random_order_of_length() -> None:
    lengths = np.random.default_rng(3).integers(3, 128, 1000)
    positions = []
    for seed in range(1000, 1100):
        rows = order(1000, 10, seed=seed, group=10, lengths=lengths)
        means = [lengths[rows.batch_rows(index)].mean() for index in range(100)]
        positions.append([np.argsort(np.argsort(means[start : start + 10])) for start in range(0, 100, 10)])
    ranks = np.array(positions).reshape(-1, 10)  # [window, place] -> rank of the batch's length in its window
    assert all(sorted(window) == list(range(10)) for window in ranks.tolist())
    # The ranks 0 to 9 have the deviation 2.87.
    np.testing.assert_allclose(ranks.mean(axis=0), 4.5, atol=4 * 2.87 / np.sqrt(len(ranks)))
    correlation = np.corrcoef(ranks.ravel(), np.tile(np.arange(10), len(ranks)))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(ranks.size)


def test_rows_within_a_grouped_window_do_not_depend_on_their_number() -> None:
    lengths = np.random.default_rng(4).integers(3, 128, 1000)
    rows = order(1000, 10, group=10, lengths=lengths)
    drawn = stream(rows, 100)
    assert abs(np.corrcoef(drawn, np.arange(1000))[0, 1]) < 4 / np.sqrt(1000)


def three_tasks(padded_lengths: np.ndarray | None = None, joint: bool = False, **changes: Any) -> TrainingBatches:
    random, sizes = np.random.default_rng(5), (12, 7, 20)
    rows = [encoded(random.integers(3, 30, size), 100 * task) for task, size in enumerate(sizes)]
    orders = [order(size, 4, name=f"task{task}", **changes) for task, size in enumerate(sizes)]
    return TrainingBatches(TaskBatches(rows, orders, padded_lengths), None if joint else TaskOrder(3))


def test_tasks_take_turns_and_keep_their_ids() -> None:
    batches = list(three_tasks().steps(0, 9))
    assert [int(batch["task_id"]) for batch in batches] == [0, 1, 2] * 3
    assert [set(batch["label_ids"] // 100) for batch in batches] == [{0}, {1}, {2}] * 3
    assert batches[0]["task_id"].dtype == np.int32 and batches[0]["task_id"].shape == ()


def test_joint_steps_have_every_tasks_next_batch() -> None:
    alternating, joint = three_tasks(), three_tasks(joint=True)
    assert alternating.rows_per_step == 4 and joint.rows_per_step == 12
    for step in range(9):
        batches = joint.batch(step)
        assert list(batches) == ["task0", "task1", "task2"]
        for task, batch in enumerate(batches.values()):
            for name, value in alternating.batch(3 * step + task).items():
                np.testing.assert_array_equal(batch[name], value)
        rows = joint.rows_of(step)
        for task, (name, batch) in enumerate(batches.items()):
            np.testing.assert_array_equal(rows[name] + 100 * task, batch["label_ids"])
    assert list(alternating.rows_of(4)) == ["task1"]


def test_a_copy_gives_the_same_batches_and_shares_no_memory() -> None:
    batches = three_tasks(group=2, lengths=np.arange(20))
    copy = batches.copy()
    np.testing.assert_array_equal(batches.batch(8)["input_ids"], copy.batch(8)["input_ids"])
    assert batches.tasks.orders[2]._windows is not copy.tasks.orders[2]._windows
    assert batches.tasks.orders[2]._epochs is not copy.tasks.orders[2]._epochs


def test_each_task_goes_through_its_own_epochs() -> None:
    labels = [batch["label_ids"] for batch in three_tasks().steps(0, 3 * 35)]
    for task, size in enumerate((12, 7, 20)):
        drawn = np.concatenate(labels[task::3]) - 100 * task
        for epoch in range(140 // size):
            assert sorted(drawn[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_going_on_at_a_step_gives_the_batches_of_an_unbroken_run() -> None:
    whole = list(three_tasks().steps(0, 20))
    later = [*three_tasks().steps(0, 7), *three_tasks().steps(7, 20)]
    assert len(whole) == len(later) == 20
    for one, other in zip(whole, later):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_batches_are_padded_to_the_first_allowed_length_that_holds_their_rows() -> None:
    lengths = np.array([10, 21, 40])
    for trimmed, padded in zip(three_tasks().steps(0, 12), three_tasks(lengths).steps(0, 12)):
        longest = trimmed["input_ids"].shape[1]
        assert padded["input_ids"].shape[1] == min(length for length in lengths if length >= longest)


def test_batches_are_padded_to_their_longest_row_or_to_the_length_asked_for() -> None:
    for trimmed, full in zip(three_tasks().steps(0, 12), three_tasks(np.array([40])).steps(0, 12)):
        longest = int(trimmed["input_mask"].sum(axis=1).max())
        assert trimmed["input_ids"].shape == trimmed["segment_ids"].shape == (4, longest)
        assert full["input_ids"].shape == (4, 40)
        for name in ("input_ids", "input_mask", "segment_ids"):
            np.testing.assert_array_equal(full[name][:, :longest], trimmed[name])
            assert not full[name][:, longest:].any()


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
def test_evaluation_gives_every_row_in_full_batches_longest_first(batch_size: int) -> None:
    rows = encoded(np.random.default_rng(6).integers(3, 30, 21))
    numbers, widths = [], []
    for chosen, batch in evaluation_batches(rows, batch_size):
        np.testing.assert_array_equal(batch["label_ids"], chosen)
        assert len(chosen) == min(batch_size, 21)
        numbers += chosen.tolist()
        widths.append(batch["input_ids"].shape[1])
    assert sorted(numbers[:21]) == list(range(21)) and set(numbers[21:]) <= {numbers[20]}
    assert widths == sorted(widths, reverse=True) and widths[0] == rows.lengths.max()


@pytest.mark.parametrize("batch_size, lengths", [(2, 32), (50, 2), (500, 1)])
def test_evaluation_has_few_lengths(batch_size: int, lengths: int) -> None:
    rows = encoded(np.random.default_rng(6).integers(3, 120, 500))
    assert len({batch["input_ids"].shape[1] for _, batch in evaluation_batches(rows, batch_size)}) == lengths


def test_evaluation_of_no_rows_gives_no_batch() -> None:
    assert list(evaluation_batches(encoded([]), 4)) == []
