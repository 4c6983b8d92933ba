"""One value per task, as text."""

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.task_values import (
    parse_task_numbers,
    parse_task_rates,
    parse_task_texts,
    parse_task_values,
    parse_task_words,
    task_part,
)

NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]


@pytest.mark.parametrize(
    "text, values",
    [
        ("ocnli=1.5,ocemotion=2,tnews=3", [3, 2, 1.5]),
        (" OCNLI = 1e-1 ,", [7, 7, 0.1]),
        ("tnews=0", [0, 7, 7]),
        ("", [7, 7, 7]),
    ],
)
def test_text_to_numbers_in_the_tasks_order(text: str, values: list[float]) -> None:
    assert parse_task_values("task_weights", text, NAMES, 7.0) == values


@pytest.mark.parametrize(
    "text, message",
    [
        ("cmnli=1", "'cmnli' is no task or given twice; the tasks are tnews, ocemotion, ocnli"),
        ("tnews=1,TNEWS=2", "'tnews' is no task or given twice"),
        ("tnews", "'tnews' is not NAME=NUMBER"),
        ("tnews=", "'tnews=' is not NAME=NUMBER"),
        ("tnews=one", "'tnews=one' is not NAME=NUMBER"),
        ("tnews=1=2", "'tnews=1=2' is not NAME=NUMBER"),
        ("=1", "'' is no task"),
    ],
)
def test_text_that_is_no_numbers(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_task_values("task_rates", text, NAMES, 1.0)
    assert message in str(error.value) and str(error.value).startswith("task_rates ")


@pytest.mark.parametrize(
    "text, values", [("0.2", [0.2] * 3), ("ocnli=3", [7, 7, 3]), (" 1e-1 ", [0.1] * 3), ("tnews=1,OCNLI=2", [1, 7, 2])]
)
def test_one_number_for_all_or_each_its_own(text: str, values: list[float]) -> None:
    assert parse_task_numbers("head_lr", text, NAMES, 7.0) == values


def test_text_that_is_neither() -> None:
    for text in ("", "two", "1,2,3"):
        with pytest.raises(UserError, match="head_lr .* is neither a number nor NAME=NUMBER"):
            parse_task_numbers("head_lr", text, NAMES, 1.0)


def test_rates_are_from_0_to_below_1() -> None:
    assert parse_task_rates("token_dropout", "ocnli=0.5,tnews=0", NAMES, 0.1) == {"TNEWS": 0, "OCEMOTION": 0.1, "OCNLI": 0.5}
    for text in ("1", "ocnli=1.5", "-0.1", "tnews=-1e-9", "nan"):
        with pytest.raises(UserError, match=f"token_dropout '{text}': .* a rate must be from 0 to below 1"):
            parse_task_rates("token_dropout", text, NAMES, 0.0)


@pytest.mark.parametrize(
    "text, values",
    [
        ("Mean+cls", dict.fromkeys(NAMES, "mean+cls")), ("ocnli=Pair, TNEWS = cls", {"OCNLI": "pair", "TNEWS": "cls"}),
        ("", {}), (" ", {}),
    ],
)  # fmt: skip
def test_one_text_for_all_or_each_its_own(text: str, values: dict[str, str]) -> None:
    assert parse_task_texts("features", text, NAMES) == values


@pytest.mark.parametrize(
    "text, message",
    [
        ("mean,ocnli=cls", "'mean' is no task"), ("ocnli=", "OCNLI has no value; write ocnli=VALUE"),
        ("ocnli=a,OCNLI=b", "'ocnli' is no task or given twice"), ("cmnli=a", "'cmnli' is no task"),
    ],
)  # fmt: skip
def test_text_that_is_no_texts(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_task_texts("features", text, NAMES)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text, part",
    [("mean", "mean"), ("ocnli=pair, TNEWS=cls", "TNEWS=cls"), ("ocnli=pair", ""), ("", ""), ("0.1", "0.1")],
)
def test_part_of_one_task(text: str, part: str) -> None:
    assert task_part(text, "TNEWS") == part


def test_words_are_of_a_list() -> None:
    assert parse_task_words("class_weights", "log", NAMES, ("log", "none")) == dict.fromkeys(NAMES, "log")
    assert parse_task_words("class_weights", "ocnli = log", NAMES, ("log", "none")) == {"OCNLI": "log"}
    with pytest.raises(UserError, match="class_weights .*'logs' is not allowed; allowed: log, none"):
        parse_task_words("class_weights", "ocnli=logs", NAMES, ("log", "none"))
