"""One value per task, as text: what is read, and what of it is told."""

from dataclasses import dataclass
from typing import Any

import pytest

from easytransfer_mtl.config.by_task import ByTask, task_part
from easytransfer_mtl.config.options import by_task, check_settings, option
from easytransfer_mtl.errors import UserError

NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A setting of every kind that holds a value for each task."""

    weights: str | None = option("", "numbers", by_task=ByTask(float, 7.0, one_for_all=False))
    factor: str = option("", "one number for all, or each its own", "1", by_task=ByTask(float, 7.0), above=0)
    rate: str = option("", "a rate", "0", by_task=ByTask(float, 0.1), minimum=0, below=1)
    rows: str | None = option("", "whole numbers", by_task=ByTask(int, one_for_all=False), minimum=1)
    layers: str | None = option("", "whole numbers, one for all", by_task=ByTask(int), maximum=12)
    text: str | None = option("", "texts", by_task=ByTask(str))
    word: str = option("", "words of a list", "none", by_task=ByTask(str), choices=("log", "none"))

    def __post_init__(self) -> None:
        check_settings(self)


def read(name: str, text: Any, otherwise: Any = None) -> dict[str, Any]:
    return by_task(Sample(**{name: text}), name, NAMES, otherwise)


def complaint(name: str, text: Any) -> str:
    with pytest.raises(UserError) as error:
        read(name, text)
    return str(error.value)


@pytest.mark.parametrize(
    "text, values",
    [
        ("ocnli=1.5,ocemotion=2,tnews=3", [3, 2, 1.5]),
        (" OCNLI = 1e-1 ,", [7, 7, 0.1]),
        ("tnews=0", [0, 7, 7]),
        ("", [7, 7, 7]),
        (None, [7, 7, 7]),
    ],
)
def test_text_to_numbers_in_the_tasks_order(text: str | None, values: list[float]) -> None:
    found = read("weights", text)
    assert list(found) == NAMES and list(found.values()) == values and all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    "text, message",
    [
        ("cmnli=1", "'cmnli' is no task or given twice; the tasks are tnews, ocemotion, ocnli"),
        ("tnews=1,TNEWS=2", "'tnews' is no task or given twice"),
        ("tnews", "'tnews' is not NAME=NUMBER"),
        ("tnews=", "'tnews=' is not NAME=NUMBER"),
        ("tnews=one", "'tnews=one' is not NAME=NUMBER"),
        ("tnews=1=2", "'tnews=1=2' is not NAME=NUMBER"),
        ("tnews=inf", "'tnews=inf' is not NAME=NUMBER"),
        ("tnews=nan", "'nan' is not a finite number"),
        ("tnews=-2e6", "-2000000.0 is out of range; allowed: -1e+06 to 1e+06"),
        ("=1", "'' is no task"),
    ],
)
def test_text_that_is_no_numbers(text: str, message: str) -> None:
    found = complaint("weights", text)
    assert message in found and found.startswith(f"weights '{text}': ")


@pytest.mark.parametrize(
    "text, values",
    [
        ("0.2", [0.2] * 3), ("ocnli=3", [7, 7, 3]), (" 1e-1 ", [0.1] * 3), ("tnews=1,OCNLI=2", [1, 7, 2]), (3, [3] * 3),
        ("2, ocnli=3", [2, 2, 3]), ("2,tnews=1,ocemotion=4,ocnli=3", [1, 4, 3]),
    ],
)  # fmt: skip
def test_one_number_for_all_or_each_its_own(text: str | int, values: list[float]) -> None:
    assert list(read("factor", text).values()) == values


def test_text_that_is_neither() -> None:
    for text in ("", "two", "1,2,3", "inf"):
        assert complaint("factor", text) == f"factor '{text}' is neither a number nor NAME=NUMBER,..."
    assert complaint("factor", "two,ocnli=1") == "factor 'two,ocnli=1': 'two' is neither a number nor NAME=NUMBER,..."
    assert "'2' is no task" in complaint("factor", "1,2,ocnli=1") and "'2' is no task" in complaint("factor", "ocnli=1,2")
    assert complaint("factor", "0,ocnli=1") == "factor '0,ocnli=1': 0.0 for TNEWS is too small; it must be more than 0."


def test_rates_are_from_0_to_below_1() -> None:
    assert read("rate", "ocnli=0.5,tnews=0") == {"TNEWS": 0, "OCEMOTION": 0.1, "OCNLI": 0.5}
    for text, number, task, wrong in (
        ("1", "1.0", "TNEWS", "large"), ("ocnli=1.5", "1.5", "OCNLI", "large"), ("-0.1", "-0.1", "TNEWS", "small"),
        ("tnews=-1e-9", "-1e-09", "TNEWS", "small"),
    ):  # fmt: skip
        allowed = f"is too {wrong}; it must be at least 0 and less than 1."
        assert complaint("rate", text) == f"rate '{text}': {number} for {task} {allowed}"
    assert complaint("rate", "nan") == "rate 'nan': 'nan' is not a finite number."


def test_a_bound_may_be_outside_of_what_is_allowed() -> None:
    assert read("factor", "tnews=1e-9")["TNEWS"] == 1e-9
    assert complaint("factor", "tnews=0") == "factor 'tnews=0': 0.0 for TNEWS is too small; it must be more than 0."


def test_whole_numbers() -> None:
    assert read("rows", "ocnli=3,TNEWS=4.0", 9) == {"TNEWS": 4, "OCEMOTION": 9, "OCNLI": 3}
    assert all(type(value) is int for value in read("rows", "ocnli=3,TNEWS=4.0", 9).values())
    assert read("rows", None, 9) == dict.fromkeys(NAMES, 9)
    assert complaint("rows", "tnews=1.5") == "rows 'tnews=1.5': 1.5 is not a whole number."
    assert complaint("rows", "tnews=0") == "rows 'tnews=0': 0 for TNEWS is too small; it must be at least 1."
    assert complaint("rows", "3") == "rows '3': '3' is no task or given twice; the tasks are tnews, ocemotion, ocnli."
    assert read("layers", "12") == dict.fromkeys(NAMES, 12)
    assert complaint("layers", "13") == "layers '13': 13 for TNEWS is too large; it must be at most 12."


def test_a_task_that_is_not_named_is_left_out_where_nothing_stands_for_it() -> None:
    assert read("rows", "ocnli=3") == {"OCNLI": 3} and read("rows", None) == {}
    assert read("text", "ocnli=pair", "cls") == {"TNEWS": "cls", "OCEMOTION": "cls", "OCNLI": "pair"}
    assert read("weights", "ocnli=3", 5.0)["TNEWS"] == 7  # the declaration's own goes first


@pytest.mark.parametrize(
    "text, values",
    [
        ("Mean+cls", dict.fromkeys(NAMES, "mean+cls")), ("ocnli=Pair, TNEWS = cls", {"OCNLI": "pair", "TNEWS": "cls"}),
        ("", {}), (" ", {}), (None, {}), ("Mean,ocnli=cls", {"TNEWS": "mean", "OCEMOTION": "mean", "OCNLI": "cls"}),
    ],
)  # fmt: skip
def test_one_text_for_all_or_each_its_own(text: str | None, values: dict[str, str]) -> None:
    assert read("text", text) == values


@pytest.mark.parametrize(
    "text, message",
    [
        ("mean,max,ocnli=cls", "'max' is no task"), ("ocnli=cls,mean", "'mean' is no task"),
        ("ocnli=", "OCNLI has no value; write ocnli=VALUE"),
        ("ocnli=a,OCNLI=b", "'ocnli' is no task or given twice"), ("cmnli=a", "'cmnli' is no task"),
    ],
)  # fmt: skip
def test_text_that_is_no_texts(text: str, message: str) -> None:
    assert message in complaint("text", text)


@pytest.mark.parametrize(
    "text, part",
    [
        ("mean", "mean"), ("ocnli=pair, TNEWS=cls", "TNEWS=cls"), ("ocnli=pair", ""), ("", ""), ("0.1", "0.1"),
        ("mean, ocnli=pair", "mean"), ("mean,ocnli=pair,tnews=cls", "tnews=cls"),
    ],
)  # fmt: skip
def test_part_of_one_task(text: str, part: str) -> None:
    assert task_part(text, "TNEWS") == part


def test_words_are_of_a_list() -> None:
    assert read("word", "log") == dict.fromkeys(NAMES, "log")
    assert read("word", "ocnli = Log") == {"OCNLI": "log"}
    assert complaint("word", "ocnli=logs") == "word 'ocnli=logs': 'logs' for OCNLI is not allowed; allowed: log, none."


def test_range_and_choices_are_of_the_values_and_not_of_the_text() -> None:
    assert Sample(rate="tnews=5", word="tnews=unheard of").rate == "tnews=5"  # told where the tasks are known
    assert Sample(factor=3).factor == "3"
