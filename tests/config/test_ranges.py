"""Absurd numbers are refused by name where a setting is declared, before anything is made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.__main__ import COMMANDS
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.options import Option, options_of, parse_flags
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json

EVERY = [(name, item) for name, command in COMMANDS.items() for item in options_of(command.settings).values()]
NUMBERS = [(name, item) for name, item in EVERY if item.kind in (int, float)]
PARAMETERS = [pytest.param(name, item, id=f"{name} {item.name}") for name, item in EVERY if item.name != "config"]
TEXTS = (
    "", " ", "0", "-0", "-1", "1_000", "１２", "nan", "inf", "-inf", "infinity", "1e308", "-1e308", "1e400", "0x10",
    "9" * 30, "-" + "9" * 30, "9" * 5000, "1e9", "1000000000", "true", "a", "a" * 5000, "a\n=", "=", "=,=", "\udcff", ":::",
)  # fmt: skip
JSON_TEXTS = (
    "null", "true", "false", "0", "-0", "-0.0", "-1", "1e308", "1e400", "NaN", "Infinity", "1" + "0" * 400, "-1" + "0" * 400,
    "9" * 5000, "2.5", '""', '"nan"', '"1e400"', '"１２"', '"1_000"', '"\\u0000"', '"\\ud800"', "[]", "{}", "[[1]]",
    '{"a": 1}', "[" * 5000 + "]" * 5000, '"' + "a" * 5000 + '"',
)  # fmt: skip


def is_sane(item: Option, value: Any) -> bool:
    if value is None:
        return item.nullable
    if type(value) is not item.kind:
        return False
    if item.kind not in (int, float):
        return True
    return item.maximum is not None and -item.maximum - 1 <= value <= item.maximum


@pytest.mark.parametrize(("command", "item"), [pytest.param(*entry, id=f"{entry[0]} {entry[1].name}") for entry in NUMBERS])
def test_every_number_has_a_range_that_its_default_is_in(command: str, item: Option) -> None:
    assert item.maximum is not None and (item.minimum is not None or item.above is not None)
    assert item.maximum > (item.minimum if item.minimum is not None else item.above)
    if item.default is not None:
        assert item.convert(item.default, "default") == item.default
    for value in (item.maximum * 2 + 1, -1e300, 1e300):
        with pytest.raises(UserError) as caught:
            item.convert(value, f"flag --{item.name}")
        assert f"flag --{item.name}: " in str(caught.value) and f"at most {item.maximum}" in str(caught.value)


def checked(command: str, item: Option, value_of: Callable[[], Any], origin: str) -> None:
    """Asserts that a value ends as a sane one in the command's settings, or as a mistake told in a few words."""
    try:
        value = value_of()
        made = COMMANDS[command].settings(**{**required(command), item.name: value})
    except UserError as error:
        assert len(str(error)) < 2000
        return
    assert is_sane(item, getattr(made, item.name)), origin[:200]


@pytest.mark.parametrize(("command", "item"), PARAMETERS)
def test_absurd_flags(command: str, item: Option) -> None:
    for text in TEXTS:
        flag = f"--{item.name}={text}"
        checked(command, item, lambda: parse_flags({item.name: item}, [flag], command)[item.name], text)  # noqa: B023


@pytest.fixture(scope="module")
def json_values(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What can be read of ``JSON_TEXTS``; the others are refused by ``read_json``."""
    path, values = tmp_path_factory.mktemp("json") / "config.json", []
    for text in JSON_TEXTS:
        path.write_text(text, encoding="utf-8")
        try:
            values.append(read_json(path))
        except UserError as error:
            assert len(str(error)) < 2000
    assert 10 < len(values) < len(JSON_TEXTS)
    return values


@pytest.mark.parametrize(("command", "item"), PARAMETERS)
def test_absurd_json(command: str, item: Option, json_values: list[Any]) -> None:
    for value in json_values:
        checked(command, item, lambda: item.convert(value, item.place), repr(value))  # noqa: B023


@pytest.mark.parametrize("text", JSON_TEXTS)
def test_absurd_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for content in (text, f'{{"train_config": {text}}}', f'{{"train_config": {{"num_epochs": {text}}}}}'):
        path.write_text(content, encoding="utf-8")
        needed = [f"--{name}={value}" for name, value in required("train").items()]
        try:
            made = load_settings(COMMANDS["train"].settings, [*needed, f"--config={path}"], "train")
            assert 0 <= made.num_epochs <= 100_000
        except UserError as error:
            assert len(str(error)) < 2000


def required(command: str) -> dict[str, Any]:
    """Returns what a command's settings are complete with."""
    values = {item.name: item.kind("1") for item in options_of(COMMANDS[command].settings).values() if item.required}
    more = {"evaluate": {"model_dir": "x"}, **dict.fromkeys(("predict", "submit", "serve"), {"checkpoints": "x"})}
    return values | more.get(command, {})
