"""Declaration of settings: one dataclass field defines a setting's flag, JSON key, help and checks."""

import dataclasses
import os
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.config.by_task import ByTask, parse_by_task
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.own_code import is_own
from easytransfer_mtl.values import to_number

LONGEST_ERROR = 500
"""Maximum number of characters shown of an absl error message, which quotes the whole flag."""
TRUE_WORDS, FALSE_WORDS = ("true", "t", "1", "yes"), ("false", "f", "0", "no")


@dataclass(frozen=True)
class OtherThan:
    """A condition of ``only_with``: any value other than ``value``."""

    value: Any

    def __str__(self) -> str:
        return "to a value" if self.value is None else f"other than {self.value}"


Conditions = dict[str, tuple[str, ...] | OtherThan]


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
    below: float | None = None,
    only_with: Conditions | None = None,
    by_task: ByTask | None = None,
    own_code: bool = False,
) -> Any:
    """Declares a setting as a dataclass field, which defines its checks and its help.

    A user-defined class (see ``own_code``) declares its options in the same way, as class attributes.

    Args:
        section: dotted JSON section (``train_config.optimizer_config``), ``""`` for the top level. None means a flag without
            a JSON key, or, in a user-defined class, the section of the setting that names the class.
        text: help.
        default: value if neither a flag nor JSON gives one.
        required: whether a flag or JSON must give a value.
        choices: allowed values; empty for no restriction.
        json_key: key in the section, if it differs from the flag's name.
        minimum: smallest allowed number.
        above: exclusive lower limit.
        maximum: largest allowed number; every number has a limit, so that a typing error does not exhaust memory.
        below: exclusive upper limit.
        only_with: other settings -> values that all of them must have for this setting to have an effect, see
            ``check_effects``.
        by_task: given if the text has a value for each task; limits and choices then apply to these values.
        own_code: whether the setting may name a user-defined class instead.
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
        "below": below,
        "only_with": only_with or {},
        "by_task": by_task,
        "own_code": own_code,
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
    below: float | None
    only_with: Conditions
    by_task: ByTask | None
    own_code: bool

    @property
    def range(self) -> str:
        """The allowed range in words, or an empty string."""
        parts = [f"at least {self.minimum}"] if self.minimum is not None else []
        parts += [f"more than {self.above}"] if self.above is not None else []
        parts += [f"at most {self.maximum}"] if self.maximum is not None else []
        parts += [f"less than {self.below}"] if self.below is not None else []
        return " and ".join(parts)

    @property
    def place(self) -> str:
        """The dotted JSON path, or an empty string."""
        return "" if self.section is None else f"{self.section}.{self.json_key}".lstrip(".")

    def convert(self, value: Any, where: str) -> Any:
        """Returns ``value`` converted to the setting's type; ``where`` names its origin in errors.

        Raises:
            UserError: the value has the wrong type, is not one of the choices, or is out of range.
        """
        if value is None and (self.nullable or self.required):
            return None
        try:
            result = _cast(value, self.kind)
        except (TypeError, ValueError, OverflowError):
            allowed = f"; it must be {self.range}" if self.range else ""
            raise UserError(f"{where}: {shown(value)} is not {_KIND_NAMES[self.kind]}{allowed}.") from None
        if self.kind is str:
            _check_text(result, where)
        if self.by_task is None and (problem := self._problem(result)):
            raise UserError(f"{where}: {shown(value)} {problem}.")
        return result

    def of_tasks(self, value: str | None, task_names: list[str], otherwise: Any = None) -> dict[str, Any]:
        """Returns task name -> value, for a setting declared with ``by_task``.

        Args:
            value: the setting's text.
            task_names: the tasks.
            otherwise: value of tasks that are not named, if the declaration has none.

        Raises:
            UserError: see ``parse_by_task``.
        """
        how = self.by_task
        assert how is not None
        missing = otherwise if how.otherwise is None else how.otherwise
        return parse_by_task(self.name, value or "", task_names, how, missing, self._problem)

    def _problem(self, value: Any) -> str | None:
        """Returns a description of why a value of the right type is not allowed, or None."""
        if self.choices and value not in self.choices and not (self.own_code and is_own(value)):
            own = ", or a class of your own (file.py:Class)" if self.own_code else ""
            return f"is not allowed; allowed: {', '.join(self.choices)}{own}"
        if self.minimum is not None and value < self.minimum or self.above is not None and value <= self.above:
            return f"is too small; it must be {self.range}"
        if self.maximum is not None and value > self.maximum or self.below is not None and value >= self.below:
            return f"is too large; it must be {self.range}"
        return None


def _check_text(text: str, where: str) -> None:
    """Raises UserError for text that is not a valid file name in TensorFlow, even if Python could open it."""
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


def options_of(settings: type) -> dict[str, Option]:
    """Returns the options that a settings dataclass declares, by name."""
    if settings not in _KNOWN:
        hints = typing.get_type_hints(settings)
        _KNOWN[settings] = {field.name: _option(field, hints[field.name]) for field in dataclasses.fields(settings)}
    return _KNOWN[settings]


_KNOWN: dict[type, dict[str, Option]] = {}


def _option(field: dataclasses.Field, hint: Any) -> Option:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next(member for member in members if member is not type(None))
    meta = dict(field.metadata)
    json_key = meta.pop("json_key") or field.name
    return Option(
        name=field.name, kind=kind, nullable=type(None) in members, default=field.default, json_key=json_key, **meta
    )


def declared_options(owner: type) -> dict[str, tuple[Any, dataclasses.Field]]:
    """Returns the options that a class declares as attributes: name -> type and field."""
    found = {}
    for part in reversed(owner.__mro__):
        for name, value in vars(part).items():
            if isinstance(value, dataclasses.Field) and "only_with" in value.metadata:
                found[name] = typing.get_type_hints(part)[name], value
    return found


def check_settings(settings: Any) -> None:
    """Checks every value of a settings object, and converts it to its option's type.

    Without the conversion a text such as "no", which a flag may have, would count as true. A class with a method
    ``needs(name)`` says by it which required settings its other values make needed.

    Raises:
        UserError: a required setting is missing, or a value does not fit.
    """
    options = options_of(type(settings)).values()
    needs = getattr(settings, "needs", lambda name: True)
    missing = [item for item in options if item.required and getattr(settings, item.name) is None and needs(item.name)]
    if missing:
        needs = ", ".join(f"--{item.name}" + (f" (JSON: {item.place})" if item.place else "") for item in missing)
        raise UserError(f"Missing: {needs}.")
    for item in options:
        value = getattr(settings, item.name)
        if value is not None or not item.nullable:
            object.__setattr__(settings, item.name, item.convert(value, f"--{item.name}"))  # the dataclasses are frozen


def by_task(settings: Any, name: str, task_names: list[str], otherwise: Any = None) -> dict[str, Any]:
    """Returns task name -> value of the setting ``name``; other arguments and errors as in ``Option.of_tasks``."""
    return options_of(type(settings))[name].of_tasks(getattr(settings, name), task_names, otherwise)


def without_effect(settings: Any) -> list[str]:
    """Returns the names of settings that differ from their default but have no effect with the other settings' values."""
    return [item.name for item in changed(settings) if not has_effect(item, settings)]


def has_effect(item: Option, settings: Any) -> bool:
    """Returns whether a setting has an effect with the other settings' values."""
    return not _unmet(item, settings)


def check_effects(settings: Any) -> None:
    """Checks that every changed setting has an effect.

    A user-defined class (``module:Class``) meets every condition, since it may read any setting.

    Raises:
        UserError: a setting has no effect; the message names the values with which it would have one.
    """
    for item in changed(settings):
        if unmet := _unmet(item, settings):
            met = ", ".join(f"{name} {getattr(settings, name)}" for name in unmet)
            wanted = " ".join(
                _flag_text(name, values)
                for name, values in item.only_with.items()
                if not _meets(getattr(settings, name), values)
            )
            raise UserError(f"{item.name} has no effect with {met}. Set {wanted}, or leave it out.")


def changed(settings: Any) -> Iterator[Option]:
    """Yields the options whose values differ from their default."""
    for item in options_of(type(settings)).values():
        if getattr(settings, item.name) not in (item.default, ""):
            yield item


def _unmet(item: Option, settings: Any) -> list[str]:
    """Returns the names of the conditions up to the first unmet one; empty if all are met."""
    for number, (name, values) in enumerate(item.only_with.items(), 1):
        if not _meets(getattr(settings, name), values):
            return list(item.only_with)[:number]
    return []


def _meets(value: Any, values: tuple[str, ...] | OtherThan) -> bool:
    if isinstance(values, OtherThan):
        return value != values.value
    return value in values or is_own(value)


def _flag_text(name: str, values: tuple[str, ...] | OtherThan) -> str:
    return f"--{name} {values}" if isinstance(values, OtherThan) else f"--{name}={' or '.join(values)}"


def own_code_flags(options: dict[str, Option], arguments: list[str]) -> dict[str, str]:
    """Returns the unchecked values of flags that may name user-defined classes; ignores all other arguments."""
    if not arguments:
        return {}
    from absl import flags  # here, so that doctor can report that it is missing

    values = flags.FlagValues()
    for item in options.values():
        if item.own_code:
            flags.DEFINE_string(item.name, None, item.help, flag_values=values)
    try:
        values(["", *arguments], known_only=True)
    except flags.Error:
        return {}
    return {name: str(values[name].value) for name in values if values[name].present and values[name].value}


def parse_flags(options: dict[str, Option], arguments: list[str], command: str) -> dict[str, Any]:
    """Parses a command's flags with absl; returns those that were given.

    An empty value (``--flag=``) sets a nullable or required setting to its default, which overrides a JSON file.

    Raises:
        UserError: a flag is unknown (the message names the nearest known one), a value does not fit, or there are arguments
            that are no flags.
    """
    if not arguments:
        return {}
    from absl import flags  # as above

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
    return item.default if value == "" and (item.nullable or item.required) else item.convert(value, f"flag --{item.name}")
