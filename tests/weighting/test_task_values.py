"""One value per task, as text."""

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.task_values import numbers_of_tasks, parse_task_values, value_of_task, words_of_tasks

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


def test_one_value_is_every_tasks() -> None:
    assert numbers_of_tasks("focal_gamma", " 2 ", NAMES, 0.0) == [2, 2, 2]
    assert numbers_of_tasks("focal_gamma", "ocnli=1", NAMES, 0.0) == [0, 0, 1]
    assert words_of_tasks("class_weights", "log", NAMES, ("log", "none")) == dict.fromkeys(NAMES, "log")
    assert words_of_tasks("class_weights", "ocnli = log", NAMES, ("log", "none")) == {"OCNLI": "log"}


@pytest.mark.parametrize(
    "text, of_tnews", [("log", "log"), ("tnews=log,ocnli=inverse", "log"), ("ocnli=log", "none"), (" TNEWS = log", "log")]
)
def test_value_of_one_task_alone(text: str, of_tnews: str) -> None:
    assert value_of_task("class_weights", text, NAMES, "TNEWS", "none") == of_tnews


@pytest.mark.parametrize("text", ["", "two", "ocnli=two", "ocnli=nan"])
def test_what_is_neither_a_number_nor_the_tasks_numbers(text: str) -> None:
    with pytest.raises(UserError, match="focal_gamma "):
        numbers_of_tasks("focal_gamma", text, NAMES, 0.0)
