"""What is spread over folds: labels, ranges of numbers, kinds of entities; from tables of any kind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.strata import strata_of
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.tasks import Task, task_from_json


def task(**keys: Any) -> Task:
    return task_from_json({"name": "T", "first_sequence": "text", "label_enumerate_values": [], **keys})


TOPICS = task(type="multi_label", label_enumerate_values=["city", "food"])
GRADES = task(type="score")
PLACES = task(type="tags", label_enumerate_values=["O", "B-LOC", "I-LOC", "B-ORG"])


def rows_of(labels: list[str]) -> list[Row]:
    return [Row(str(number), (f"text {number}",), label) for number, label in enumerate(labels)]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("each", "labels", "names", "members"),
    [
        (TOPICS, ["food", "", "city,food"], ("city", "food"), [[0, 1], [0, 0], [1, 1]]),
        (GRADES, ["2", "-1.5", "2.0"], ("-1.5", "2"), [[0, 1], [1, 0], [0, 1]]),
        (PLACES, ["O O O", "O B-LOC I-LOC", "B-ORG O I-LOC"], ("LOC", "ORG"), [[0, 0], [1, 0], [1, 1]]),
    ],
)
def test_parts_of_rows(
    tmp_path: Path, ending: str, each: Task, labels: list[str], names: tuple[str, ...], members: list[list[int]]
) -> None:
    path = tmp_path / f"T_train.{ending}"
    if ending == "jsonl":
        lines = [json.dumps({"text": "a字b", "label": label}) for label in labels]
    else:
        lines = ["text,label", *(f'a字b,"{label}"' for label in labels)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = strata_of(each, read_table(path, each, labelled=True).rows)
    assert (found.names, found.members.astype(int).tolist()) == (names, members)


def test_numbers_are_divided_at_quantiles_and_equal_ones_stay_together() -> None:
    numbers = np.round(np.random.default_rng(1).gamma(2.0, 10.0, 1000), 1)
    found = strata_of(GRADES, rows_of([f"{number:g}" for number in numbers]))
    sizes = found.members.sum(axis=0)
    assert len(sizes) == 10 and sizes.sum() == 1000 and 90 <= sizes.min() <= sizes.max() <= 110
    ranges = [numbers[column] for column in found.members.T]
    assert all(lower.max() < upper.min() for lower, upper in zip(ranges, ranges[1:]))
    assert found.names[3] == f"{ranges[3].min():g} to {ranges[3].max():g}"
    folds = found.assign(np.arange(1000), 5, generator(1, "test"))
    means = [numbers[folds == fold].mean() for fold in range(5)]
    assert np.ptp(means) < 0.1 * numbers.std() and np.ptp(np.bincount(folds)) <= 2


def test_folds_are_balanced_where_one_number_has_most_rows() -> None:
    numbers = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    found = strata_of(GRADES, rows_of([f"{number:g}" for number in numbers]))
    folds = found.assign(np.arange(1000), 5, generator(1, "test"))
    assert np.bincount(folds[numbers > 0]).tolist() == [20] * 5


def test_one_value_is_one_range() -> None:
    found = strata_of(GRADES, rows_of(["3"] * 7))
    assert found.names == ("3",) and found.members.all()
