"""DataFrames and lists of dictionaries as files and as rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl import save_table
from easytransfer_mtl.data.frames import is_table, rows_of_table
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import OCNLI, task_from_json

TASK = task_from_json({"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1"})


class Frame:
    """A DataFrame, as far as it is used."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


class NAType:
    """pandas' missing value."""


def test_a_frame_is_written_and_read(tmp_path: Path) -> None:
    frame = Frame({"id": np.array([7, 8]), "text": ['天,"地"\n', "人"], "label": np.array([0, 1]), "n": [float("nan"), 1]})
    path = save_table(frame, tmp_path / "new/A_train.jsonl")
    assert read_table(path, TASK, True).rows == [Row("7", ('天,"地"\n',), "0"), Row("8", ("人",), "1")]
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0]) == {
        "id": 7,
        "text": '天,"地"\n',
        "label": 0,
        "n": None,
    }


def test_lists_missing_values_and_truth(tmp_path: Path) -> None:
    rows = [{"text": np.str_("天"), "a": ["x", "y"], "b": NAType(), "c": np.bool_(True), "d": np.array(["z"]), "e": None}]
    path = save_table(rows, tmp_path / "a.jsonl")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "text": "天", "a": ["x", "y"], "b": None, "c": True, "d": ["z"], "e": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("task", "columns", "rows"),
    [
        ({"type": "multi_label", "label_enumerate_values": ["x", "y"]}, {"label": [["x", "y"], []]}, ["x,y", ""]),
        ({"type": "score"}, {"label": np.array([3.5, 1.0])}, ["3.5", "1.0"]),
        (
            {"type": "tags", "unit": "word", "label_enumerate_values": "O,B-A,I-A"},
            {"text": [["New", "York"], np.array(["a"])], "label": [["B-A", "I-A"], "O"]},
            ["B-A I-A", "O"],
        ),
        (
            {"type": "tags", "label_enumerate_values": "O,B-A,I-A"},
            {"text": ["天地", "人"], "label": [np.array(["B-A", "I-A"]), ["O"]]},
            ["B-A I-A", "O"],
        ),
    ],
    ids=["multi_label", "score", "words", "characters"],
)
def test_frames_of_every_type_are_written_and_read(
    tmp_path: Path, task: dict[str, Any], columns: dict[str, Any], rows: list[str]
) -> None:
    known = task_from_json({"name": "A", "first_sequence": "text", **task})
    path = save_table(Frame({"text": ["天地", "人"], **columns}), tmp_path / "A_train.jsonl")
    assert [row.label for row in read_table(path, known, True).rows] == rows


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        (Frame({"text": ["天"]}), "a.csv", "a table is written as JSON lines; let the file's name end with .jsonl"),
        (Frame({"text": []}), "a.jsonl", "the table has no row"),
        ([], "a.jsonl", "the table has no row"),
        (Frame({0: ["天"]}), "a.jsonl", "its columns are 0; each needs a name of its own"),
        (Frame({"text": [object()]}), "a.jsonl", "row 0, column 'text': .*of type object. is no text, number or list"),
        (Frame({"text": ["\ud800"]}), "a.jsonl", "half of a character"),
        (Frame({"text": ["天", float("inf")]}), "a.jsonl", "row 1, column 'text': inf"),
        (["天"], "a.jsonl", "row 0 .from 0. is '天'; it must be a dictionary"),
        ("天", "a.jsonl", "found '天'; give a DataFrame or a list of dictionaries"),
        (5, "a.jsonl", "found 5; give a DataFrame"),
    ],
)
def test_what_is_no_table_is_refused_and_nothing_is_written(tmp_path: Path, table: Any, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        save_table(table, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_rows_of_a_frame_to_predict() -> None:
    frame = Frame({"premise": ["天", "人"], "hypothesis": ["地", "日"], "guid": [1, 2]})
    assert is_table(frame) and not is_table([frame]) and not is_table(np.array(["a"])) and not is_table("a")
    assert rows_of_table(frame, OCNLI) == [Row("1", ("天", "地"), None), Row("2", ("人", "日"), None)]
    assert [row.row_id for row in rows_of_table(Frame({"text": ["天", "地"]}), TASK)] == ["0", "1"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["天", None]}, "A: the table, row 1 .from 0.: text is None, not a text"),
        ({"text": ["天"], "id": [1.5]}, "id is 1.5, not an id"),
        ({"words": ["天"]}, "A: the table: no text for A among the columns words; wanted: text"),
    ],
)
def test_rows_that_do_not_fit(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows_of_table(Frame(columns), TASK)
