"""Values by task as text: one for all, ``ocnli=1.5,tnews=1``, or one for all but some, ``1,ocnli=1.5``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.values import to_number

LARGEST = 1e6
"""Upper limit of a number's absolute value; float32 values can still be multiplied by it."""


@dataclass(frozen=True)
class ByTask:
    """Declares that an option's text has a value for each task.

    Attributes:
        kind: type of a value: ``float``, ``int`` or ``str``.
        otherwise: value of tasks that are not named, if the text has none for all others; with None the reader's default
            applies, and without one the task is left out.
        one_for_all: whether the text may be one value for all tasks, or begin with one for those that it does not name.
        keeps_case: whether ``str`` values keep their case instead of being lower-cased.
    """

    kind: type
    otherwise: Any = None
    one_for_all: bool = True
    keeps_case: bool = False


def parse_by_task(
    option: str, text: str, task_names: list[str], how: ByTask, otherwise: Any, problem: Callable[[Any], str | None]
) -> dict[str, Any]:
    """Returns task name -> value, in the tasks' order.

    Args:
        option: the setting's name, for errors.
        text: its value; task names in any case.
        task_names: the tasks.
        how: see ``ByTask``.
        otherwise: value of tasks that are not named; None leaves them out.
        problem: returns a description of why a value is not allowed, or None.

    Raises:
        UserError: the text is neither a value nor NAME=VALUE,...; a name is no task's name or is given twice; a value is
            missing, not a number, or not allowed.
    """
    for_all, items = _parts(text) if how.one_for_all else ("", text)
    found = {}
    if how.one_for_all and (for_all or not (items or how.kind is str)):
        value = _value(option, text, for_all, how, f"{_where(text, for_all)} is neither a number nor NAME=NUMBER,..")
        found = dict.fromkeys(task_names, value)
    for name, item in _items(option, items, task_names).items():
        written = item.partition("=")[2]
        if how.kind is str and not written.strip():
            raise UserError(f"{option} {shown(text)}: {name} has no value; write {name.lower()}=VALUE.")
        found[name] = _value(option, text, written, how, f": {shown(item)} is not NAME=NUMBER")
    for name, value in found.items():
        if wrong := problem(value):
            raise UserError(f"{option} {shown(text)}: {shown(value)} for {name} {wrong}.")
    if otherwise is None:
        return {name: found[name] for name in task_names if name in found}
    return {name: found.get(name, otherwise) for name in task_names}


def task_part(text: str, task_name: str) -> str:
    """Returns the setting's text for a run of one task only: its item, or the value of tasks that are not named."""
    for_all, items = _parts(text)
    parts = [part.strip() for part in items.split(",")]
    return ",".join(item for item in parts if item.partition("=")[0].strip().lower() == task_name.lower()) or for_all


def _parts(text: str) -> tuple[str, str]:
    """Returns the value for all tasks that are not named, and the items of those that are."""
    if "=" not in text:
        return text.strip(), ""
    first, _, items = text.partition(",")
    return (first.strip(), items) if "=" not in first else ("", text)


def _where(text: str, part: str) -> str:
    return "" if part == text.strip() else f": {shown(part)}"


def _value(option: str, text: str, written: str, how: ByTask, otherwise: str) -> Any:
    """Returns the parsed value; ``otherwise`` is the error text if a number is expected and ``written`` is not one."""
    written = written.strip()
    if how.kind is str:
        return written if how.keeps_case else written.lower()
    if written.lower() == "nan":
        raise UserError(f"{option} {shown(text)}: {shown(written)} is not a finite number.")
    try:
        number = to_number(written, float)
    except (ValueError, OverflowError):
        raise UserError(f"{option} {shown(text)}{otherwise}.") from None
    if abs(number) > LARGEST:
        raise UserError(f"{option} {shown(text)}: {number} is out of range; allowed: -{LARGEST:g} to {LARGEST:g}.")
    if how.kind is float:
        return number
    if not math.isfinite(number) or not number.is_integer():
        raise UserError(f"{option} {shown(text)}: {written} is not a whole number.")
    return int(number)


def _items(option: str, text: str, task_names: list[str]) -> dict[str, str]:
    """Returns task name -> its item ``NAME=...``."""
    found: dict[str, str] = {}
    known = {name.lower(): name for name in task_names}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name = item.partition("=")[0].strip().lower()
        if known.get(name, name) in found or name not in known:
            raise UserError(
                f"{option} {shown(text)}: {shown(name)} is no task or given twice; the tasks are {', '.join(known)}."
            )
        found[known[name]] = item
    return found
