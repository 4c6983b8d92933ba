"""How a setting is declared: once, as a dataclass field, which gives the flag, the JSON key, the help and the checks."""

import dataclasses
import math
import os
import types
import typing
from dataclasses import dataclass
from typing import Any, TypeVar

from absl import flags

from easytransfer_mtl.errors import UserError, clipped, shown

LONGEST_ERROR = 500
"""Characters of what absl says of a flag, which it quotes whole."""
TRUE_WORDS, FALSE_WORDS = ("true", "t", "1", "yes"), ("false", "f", "0", "no")


def option(
    section: str | None,
    text: str,
    default: Any = None,
    required: bool = False,
    choices: tuple[str, ...] = (),
    json_key: str | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declares a setting as a dataclass field.

    Args:
        section: JSON section that holds it, dotted (``train_config.optimizer_config``), ``""`` for the top level, None
            for a flag without a JSON key.
        text: help.
        default: value when neither flag nor JSON gives one.
        required: whether one of them must.
        choices: allowed values, if only some are.
        json_key: key in the section where it differs from the flag's name.
        minimum: smallest allowed number.
        above: what a number must be more than.
        maximum: largest allowed number; every number has one, so that a slip of the pen costs no memory.
    """
    metadata = {
        "section": section,
        "help": text,
        "required": required,
        "choices": choices,
        "json_key": json_key,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """One declared setting."""

    name: str
    kind: type
    nullable: bool
    default: Any
    section: str | None
    json_key: str
    help: str
    required: bool
    choices: tuple[str, ...]
    minimum: float | None
    above: float | None
    maximum: float | None

    @property
    def range(self) -> str:
        """The allowed numbers in words, or an empty string."""
        parts = [f"at least {self.minimum}"] if self.minimum is not None else []
        parts += [f"more than {self.above}"] if self.above is not None else []
        parts += [f"at most {self.maximum}"] if self.maximum is not None else []
        return " and ".join(parts)

    @property
    def place(self) -> str:
        """Dotted JSON path, or an empty string."""
        return "" if self.section is None else f"{self.section}.{self.json_key}".lstrip(".")

    def convert(self, value: Any, where: str) -> Any:
        """Returns ``value`` as the setting's type; ``where`` names its origin in the error.

        Raises:
            UserError: it is not of the type, not one of the choices, or too small or too large.
        """
        if value is None and self.nullable:
            return None
        try:
            result = _cast(value, self.kind)
        except (TypeError, ValueError, OverflowError):
            allowed = f"; it must be {self.range}" if self.range else ""
            raise UserError(f"{where}: {shown(value)} is not {_KIND_NAMES[self.kind]}{allowed}.") from None
        if self.kind is str:
            _check_text(result, where)
        if self.choices and result not in self.choices:
            raise UserError(f"{where}: {shown(value)} is not allowed; allowed: {', '.join(self.choices)}.")
        is_small = self.minimum is not None and result < self.minimum or self.above is not None and result <= self.above
        if is_small or (self.maximum is not None and result > self.maximum):
            wrong = "small" if is_small else "large"
            raise UserError(f"{where}: {shown(value)} is too {wrong}; it must be {self.range}.")
        return result


def _check_text(text: str, where: str) -> None:
    """Raises UserError for text that cannot be a file's name everywhere: Python would open it, TensorFlow would not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{where}: {shown(text)} has bytes that are not UTF-8. Rename the file or folder.") from None
    if "\0" in text:
        raise UserError(f"{where}: {shown(text)} has a zero byte, which no name may have.")


_KIND_NAMES = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}


def _cast(value: Any, kind: type) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if isinstance(value, (str, int)) and word in TRUE_WORDS + FALSE_WORDS:
            return word in TRUE_WORDS
        raise ValueError
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError
    if kind is str:
        return str(value)
    return to_number(value, kind)


Number = TypeVar("Number", int, float)


def to_number(value: str | int | float, kind: type[Number]) -> Number:
    """Returns a finite number, from text in plain digits or from another number; 3.0 is whole.

    Raises:
        ValueError, OverflowError: it is none.
    """
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # which Python's int and float take
        raise ValueError
    if kind is float and not math.isfinite(float(value)):
        raise ValueError
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    return kind(value)


def options_of(settings: type) -> dict[str, Option]:
    """Returns the options that a settings dataclass declares, by name."""
    hints = typing.get_type_hints(settings)
    return {field.name: _option(field, hints[field.name]) for field in dataclasses.fields(settings)}


def _option(field: dataclasses.Field, hint: Any) -> Option:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next(member for member in members if member is not type(None))
    meta = dict(field.metadata)
    json_key = meta.pop("json_key") or field.name
    return Option(
        name=field.name, kind=kind, nullable=type(None) in members, default=field.default, json_key=json_key, **meta
    )


def check_settings(settings: Any) -> None:
    """Checks every value of a settings object, however it was made, and gives each its option's type.

    Without that a text such as "no", which a flag may say, would count as true.

    Raises:
        UserError: a required setting is missing, or a value does not fit.
    """
    options = options_of(type(settings)).values()
    missing = [item for item in options if item.required and getattr(settings, item.name) is None]
    if missing:
        needs = ", ".join(f"--{item.name}" + (f" (JSON: {item.place})" if item.place else "") for item in missing)
        raise UserError(f"Missing: {needs}.")
    for item in options:
        value = getattr(settings, item.name)
        if value is not None or not item.nullable:
            object.__setattr__(settings, item.name, item.convert(value, f"--{item.name}"))  # the dataclasses are frozen


def parse_flags(options: dict[str, Option], arguments: list[str], command: str) -> dict[str, Any]:
    """Parses a command's flags with absl; returns those that were given.

    A flag with nothing behind its ``=`` gives the default, whatever a JSON file says, where a setting may be left out.

    Raises:
        UserError: a flag is unknown (the nearest known one is named), a value does not fit, or words are left over.
    """
    values = flags.FlagValues()
    for item in options.values():
        define = flags.DEFINE_boolean if item.kind is bool else flags.DEFINE_string
        define(item.name, None, item.help, flag_values=values)
    try:
        rest = values([command, *arguments])[1:]
    except flags.Error as error:
        raise UserError(f"{command}: {clipped(str(error), LONGEST_ERROR)} See `{command} --help`.") from None
    if rest:
        what = f"unexpected words {shown(rest)}; every setting is a flag --name=value"
        raise UserError(f"{command}: {what}. See `{command} --help`.")
    return {name: _of_flag(item, values[name].value) for name, item in options.items() if values[name].present}


def _of_flag(item: Option, value: Any) -> Any:
    return item.default if value == "" and item.nullable else item.convert(value, f"flag --{item.name}")
