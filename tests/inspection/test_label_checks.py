"""check_data on tasks of all types: every fault of labels is named, with its place, whatever kind of table it is in."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from easytransfer_mtl.data.tag_units import tag_spans
from easytransfer_mtl.inspection.data_check import check_data
from easytransfer_mtl.inspection.findings import Finding
from easytransfer_mtl.tasks import Task, task_from_json

Rows = list[tuple[str, Any]]
TOPICS = {"type": "multi_label", "label_enumerate_values": ["city", "food", "travel"]}
GRADES = {"type": "score", "label_enumerate_values": []}
PLACES = {"type": "tags", "label_enumerate_values": ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]}
LETTERS = "天地人日月山水火木金土心手口目"


def task(keys: dict[str, Any]) -> Task:
    return task_from_json({"name": "T", "first_sequence": "text", "label_name": "y", **keys})


def write(path: Path, rows: Rows, separator: str = " ") -> None:
    """Writes a table of the kind that its name ends with."""
    if path.suffix == ".jsonl":
        lines = [json.dumps({"text": text, "y": label}, ensure_ascii=False) for text, label in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    texts = [(text, separator.join(label) if isinstance(label, list) else label) for text, label in rows]
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([("text", "y"), *texts])


def found_in(folder: Path, keys: dict[str, Any], kind: str, train: Rows, dev: Rows = []) -> dict[str, Finding]:  # noqa: B006
    separator = "," if keys is TOPICS else " "
    write(folder / f"T_train.{kind}", train, separator)
    if dev:
        write(folder / f"T_dev.{kind}", dev, separator)
    report = check_data(folder, (task(keys),), sequence_length=8)
    return {f"{Path(str(finding.file)).stem} {finding.check}": finding for finding in report.findings}


def place(finding: Finding) -> tuple[str, int | None, int]:
    return finding.level, finding.line, finding.count


def line(kind: str, row: int) -> int:
    return row if kind == "jsonl" else row + 1


KINDS = pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])


@KINDS
def test_several_labels(tmp_path: Path, kind: str) -> None:
    sets = [["city"], ["city", "food"], ["food", "city"], [], ["city"]]
    found = found_in(
        tmp_path, TOPICS, kind, [*zip("天地人日月", sets), ("天", ["food"]), ("土", ["sea"])], [("月", ["city"])]
    )
    counts = found["T_train label_counts"].message
    assert "1.17 labels a row, at most 2; rows by label: city 4 (66.7%), food 3 (50.0%), travel 0 (0.0%)" in counts
    assert "4 different sets: city 2 (33.3%), city + food 2 (33.3%), none 1 (16.7%), food 1 (16.7%)" in counts
    assert place(found["T_train label"]) == ("error", line(kind, 7), 1) and "'sea'" in found["T_train label"].message
    assert place(found["T_train conflicting_labels"]) == ("warning", line(kind, 1), 2)
    assert found["T_train unused_labels"].message == "no row has the label travel."
    assert place(found["T_dev shared_texts"]) == ("warning", line(kind, 1), 1)


def test_sets_in_another_order_are_no_conflict(tmp_path: Path) -> None:
    found = found_in(tmp_path, TOPICS, "jsonl", [("天", ["city", "food"]), ("天", ["food", "city"]), ("地", [])])
    assert "T_train conflicting_labels" not in found and "T_train repeated_texts" in found


def test_a_label_of_every_row(tmp_path: Path) -> None:
    found = found_in(tmp_path, TOPICS, "jsonl", [("天", ["city"]), ("地", ["city", "food"])])
    assert found["T_train constant_labels"].message == "every row has the label city."


@KINDS
def test_numbers(tmp_path: Path, kind: str) -> None:
    numbers = [1, 2, 3, 4, 2, 3, 2.5, 3, 40, "x"]
    found = found_in(tmp_path, GRADES, kind, [*zip(LETTERS, numbers), ("天", 2)], [("土", 0.5), ("心", 2), ("手", 41)])
    message = "6 different numbers from 1 to 40, mean 6.25, standard deviation 11.28, quartiles 2, 2.75 and 3."
    assert found["T_train numbers"].message == message
    assert place(found["T_train outliers"]) == ("warning", line(kind, 9), 1) and "40" in found["T_train outliers"].message
    assert place(found["T_train label"]) == ("error", line(kind, 10), 1)
    conflict = found["T_train conflicting_labels"]
    assert place(conflict) == ("warning", line(kind, 1), 2) and "different numbers" in conflict.message
    new = found["T_dev new_numbers"]
    assert place(new) == ("warning", line(kind, 1), 2) and "2 of 3 (66.7%) dev rows" in new.message


def test_constant_numbers(tmp_path: Path) -> None:
    found = found_in(tmp_path, GRADES, "jsonl", [("天", 2), ("地", 2.0)])
    assert found["T_train constant_numbers"].message == "all 2 numbers are 2." and "T_train numbers" not in found


@KINDS
def test_tags(tmp_path: Path, kind: str) -> None:
    rows: Rows = [
        ("天地人", ["B-LOC", "I-LOC", "O"]),
        ("地人天", ["O", "I-LOC", "I-LOC"]),  # begins with I-
        ("人天日", ["I-ORG", "O", "B-LOC"]),  # the same, at the beginning
        ("日月天", ["B-LOC", "I-ORG", "I-LOC"]),  # two after another kind
        ("月日", ["O"]),  # a tag too few
        ("天地人", ["O", "O", "O"]),  # a conflict with line 1
        (LETTERS, ["O"] * 14 + ["B-LOC"]),  # 9 more than 6
    ]
    found = found_in(tmp_path, PLACES, kind, rows)
    ill = found["T_train ill_formed_tags"]
    assert place(ill) == ("warning", line(kind, 2), 4)
    for case in ("I-LOC after O or at the beginning 1", "I-ORG after O or at the beginning 1", "I-ORG after B-LOC 1",
                 "I-LOC after I-ORG 1"):  # fmt: skip
        assert case in ill.message
    assert place(found["T_train tags"]) == ("error", line(kind, 5), 1)
    conflict = found["T_train conflicting_labels"]
    assert place(conflict) == ("warning", line(kind, 1), 2) and "different entities" in conflict.message
    assert "8 entities in 5 of 6 rows: LOC 6 (75.0%), ORG 2 (25.0%)" in found["T_train entities"].message
    assert "the longest text has 15 characters" in found["T_train entities"].message
    long = found["T_train long_texts"]
    assert place(long) == ("warning", line(kind, 7), 1) and "9 (30.0%) tags or more are behind the cut" in long.message
    assert found["T_train unused_labels"].message == "no row has the tag B-ORG."


def test_entities_are_seqevals() -> None:
    tags = "I-X I-X B-X I-Y I-Y O I-X B-Y B-Y I-Y I-X O O B-X".split()
    for start in range(len(tags)):
        assert tag_spans(tags[start:]) == get_entities(tags[start:])


@pytest.mark.parametrize(
    ("keys", "label", "problem"),
    [(PLACES, "O X-LOC", "unknown tag 'X-LOC'"), (TOPICS, "city,city", "a label twice in 'city,city'")],
)
def test_labels_that_are_still_to_be_learned(tmp_path: Path, keys: dict[str, Any], label: str, problem: str) -> None:
    write(tmp_path / "T_train.csv", [("天地", label)])
    report = check_data(tmp_path, (task({**keys, "label_enumerate_values": "from data"}),))
    (found,) = [finding for finding in report.findings if finding.check == "label"]
    assert found.message.startswith(f"{problem}; allowed: ")


def test_every_check_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    checks = (
        "label_counts", "constant_labels", "numbers", "outliers", "constant_numbers", "new_numbers", "entities",
        "ill_formed_tags", "long_texts", "tags", "units",
    )  # fmt: skip
    assert [check for check in checks if f"`{check}`" not in text] == []
