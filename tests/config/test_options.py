"""A setting's type, choices and minimum hold for flags, JSON and code alike."""

from dataclasses import dataclass
from typing import Any

import pytest

from easytransfer_mtl.config.options import Option, check_settings, option, options_of, parse_flags
from easytransfer_mtl.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One setting of every kind."""

    path: str = option("some.section", "a path", required=True)
    count: int = option("some", "a count", 3, minimum=1)
    maybe: int | None = option("some", "a count or none")
    rate: float = option("", "a rate", 0.5, minimum=0, json_key="the_rate")
    flag: bool = option(None, "yes or no", True)
    size: float = option("some", "a size", 1.0, above=0)
    kind: str = option("some", "a kind", "red", choices=("red", "green"))
    decay: str | None = option("some", "a decay or none", "slow")
    share: float = option("some", "a share", 0.5, minimum=0, below=1)

    def __post_init__(self) -> None:
        check_settings(self)


OPTIONS = options_of(Sample)


def item(name: str) -> Option:
    return OPTIONS[name]


def flags(*arguments: str) -> dict[str, Any]:
    return parse_flags(OPTIONS, list(arguments), "sample")


def test_declarations() -> None:
    assert list(OPTIONS) == ["path", "count", "maybe", "rate", "flag", "size", "kind", "decay", "share"]
    assert [(entry.kind, entry.nullable) for entry in OPTIONS.values()] == [
        (str, False),
        (int, False),
        (int, True),
        (float, False),
        (bool, False),
        (float, False),
        (str, False),
        (str, True),
        (float, False),
    ]
    places = ["some.section.path", "some.count", "some.maybe", "the_rate", "", "some.size", "some.kind", "some.decay"]
    assert [entry.place for entry in OPTIONS.values()] == [*places, "some.share"]
    ranges = ["", "at least 1", "", "at least 0", "", "more than 0", "", "", "at least 0 and less than 1"]
    assert [entry.range for entry in OPTIONS.values()] == ranges


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", 7, 7),
        ("count", "7", 7),
        ("count", 7.0, 7),
        ("rate", "1e-5", 1e-5),
        ("rate", 1, 1.0),
        ("rate", "0.01", 0.01),
        ("flag", True, True),
        ("flag", "false", False),
        ("flag", "False", False),
        ("flag", "TRUE", True),
        ("flag", "0", False),
        ("flag", "1", True),
        ("flag", "no", False),
        ("flag", 0, False),
        ("flag", 1, True),
        ("path", "a b", "a b"),
        ("path", 5, "5"),
        ("maybe", None, None),
        ("path", None, None),
        ("kind", "green", "green"),
        ("share", "0.999", 0.999),
        ("share", 0, 0.0),
    ],
)
def test_values_that_are_converted(name: str, value: Any, expected: Any) -> None:
    result = item(name).convert(value, "here")
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", "many", "here: 'many' is not a whole number"),
        ("count", 1.5, "1.5 is not a whole number"),
        ("count", "1.5", "'1.5' is not a whole number"),
        ("count", True, "True is not a whole number"),
        ("count", None, "None is not a whole number"),
        ("count", [3], "is not a whole number"),
        ("count", 0, "at least 1"),
        ("count", float("inf"), "is not a whole number"),
        ("count", float("nan"), "is not a whole number"),
        ("maybe", "", "'' is not a whole number"),
        ("rate", "fast", "'fast' is not a finite number"),
        ("rate", -0.1, "too small"),
        ("rate", float("nan"), "nan is not a finite number"),
        ("size", 0, "here: 0 is too small; it must be more than 0"),
        ("size", "-1", "must be more than 0"),
        ("share", 1, "here: 1 is too large; it must be at least 0 and less than 1"),
        ("share", "-0.5", "here: '-0.5' is too small; it must be at least 0 and less than 1"),
        ("share", "much", "here: 'much' is not a finite number; it must be at least 0 and less than 1"),
        ("flag", "maybe", "'maybe' is not true or false"),
        ("flag", 2, "2 is not true or false"),
        ("flag", None, "None is not true or false"),
        ("flag", 0.5, "0.5 is not true or false"),
        ("path", ["a"], r"\['a'\] is not text"),
        ("path", {"a": 1}, "is not text"),
        ("path", True, "True is not text"),
        ("kind", "blue", "'blue' is not allowed; allowed: red, green"),
        ("kind", None, "None is not text"),
    ],
)
def test_values_that_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        item(name).convert(value, "here")


def test_only_given_flags_are_returned() -> None:
    assert flags() == {}
    assert flags("--count=5", "--rate", "0.25", "--noflag") == {"count": 5, "rate": 0.25, "flag": False}
    assert flags("--flag") == {"flag": True}
    assert flags("--flag=false") == {"flag": False}
    assert flags("--path=a=b,c", "--path=last") == {"path": "last"}


def test_an_empty_flag_leaves_out_what_may_be_left_out() -> None:
    assert flags("--maybe=", "--path=", "--decay=") == {"maybe": None, "path": None, "decay": "slow"}
    for name in ("--count=", "--kind=", "--rate="):
        with pytest.raises(UserError, match=f"flag {name[:-1]}: ''"):
            flags(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cuont=5"], "Unknown command line flag 'cuont'. Did you mean: count"),
        (["--unheard_of=5"], "Unknown command line flag 'unheard_of'"),
        (["--count=x"], "flag --count: 'x' is not a whole number"),
        (["--flag=perhaps"], "flag"),
        (["--count"], "Missing value for flag"),
        (["--count=0"], "flag --count: '0' is too small"),
        (["--kind=blue"], "flag --kind: 'blue' is not allowed"),
        (["a.csv", "--count=5"], r"unexpected words \['a.csv'"),
        (["--", "--count=5"], "unexpected words"),
    ],
)
def test_refused_command_lines(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        flags(*arguments)
    assert message.startswith("flag --") or "sample --help" in str(caught.value)


def test_settings_made_in_code_are_checked_too() -> None:
    assert Sample(path="a").count == 3
    with pytest.raises(UserError, match=r"Missing: --path \(JSON: some.section.path\)"):
        Sample()
    with pytest.raises(UserError, match="--count: 0 is too small"):
        Sample(path="a", count=0)
    with pytest.raises(UserError, match="--kind: 'blue' is not allowed"):
        Sample(path="a", kind="blue")
