"""What a request may ask: texts and pairs, for one task or all that fit; everything else is refused by name."""

from typing import Any

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.serving.limits import Limits
from easytransfer_mtl.serving.rows import asked_rows
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI

LIMITS = Limits(texts=3, characters=5)


@pytest.mark.parametrize(
    ("task", "texts", "names", "rows", "is_one"),
    [
        ("tnews", "天", ["TNEWS"], [("天",)], True),
        (None, ["天", ""], ["TNEWS", "OCEMOTION"], [("天",), ("",)], False),
        (None, [["天", "地"]], ["OCNLI"], [("天", "地")], False),
        ("OCNLI", [["天", "地"], ["山", "水"]], ["OCNLI"], [("天", "地"), ("山", "水")], False),
        ("TNEWS", [["天"]], ["TNEWS"], [("天",)], False),
    ],
)
def test_what_fits(task: str | None, texts: Any, names: list[str], rows: list[tuple[str, ...]], is_one: bool) -> None:
    asked = asked_rows(task, texts, CONTEST_TASKS, LIMITS)
    assert ([found.name for found in asked.tasks], asked.rows, asked.is_one) == (names, rows, is_one)


@pytest.mark.parametrize(
    ("task", "texts", "message"),
    [
        ("NEWS", "天", "No task is called 'NEWS'; the tasks are TNEWS, OCEMOTION, OCNLI"),
        ("TNEWS", 5, "texts is 5; give a string, a list of strings, or a list of pairs"),
        ("TNEWS", None, "texts is None"),
        ("TNEWS", {"天": 1}, "texts is {'天': 1}"),
        ("TNEWS", [], "texts is an empty list"),
        ("TNEWS", ["天"] * 4, "texts has 4 rows; a request may have 3 at most"),
        ("TNEWS", ["天", "天地人日月山"], r"row 1 of the texts \(from 0\) has 6 characters; a text may have 5 at most"),
        ("OCNLI", [["天", "天地人日月山"]], "row 0 .* has 6 characters"),
        ("TNEWS", ["天", None], r"row 1 of the texts \(from 0\) is None"),
        ("TNEWS", "\ud800", "row 0 .* half a surrogate pair"),
        ("OCNLI", ["天", "地"], "row 0 .* is the one text '天'; the task wants a pair"),
        (None, ["天", ["天", "地"]], "TNEWS: row 1 .* is 2 texts"),
        (None, [["天"] * 3], "No task reads 3 texts a row"),
    ],
)
def test_what_does_not(task: str | None, texts: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked_rows(task, texts, CONTEST_TASKS, LIMITS)


def test_no_task_reads_a_text() -> None:
    with pytest.raises(UserError, match="No task reads 1 texts a row; .* OCNLI .2."):
        asked_rows(None, "天", [OCNLI], LIMITS)
