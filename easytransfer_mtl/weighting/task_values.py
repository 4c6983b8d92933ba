"""One value per task as text: ``ocnli=1.5,tnews=1``, or one for all."""

import math

from easytransfer_mtl.config.options import to_number
from easytransfer_mtl.errors import UserError, shown

LARGEST = 1e6
"""Of a value for a task, which float32 can still be multiplied by."""


def parse_task_values(option: str, text: str, task_names: list[str], default: float) -> list[float]:
    """Parses ``ocnli=1.5,tnews=1`` to one number per task, in the tasks' order.

    Args:
        option: the setting's name, for errors.
        text: its value; names in any case.
        task_names: the tasks.
        default: the number of a task that is not named.

    Raises:
        UserError: an item is not NAME=NUMBER with a finite number, or the name is no task's or given twice, or a number is
            beyond ``LARGEST``.
    """
    values = {}
    for name, item in _items(option, text, task_names).items():
        values[name] = _number(option, text, item.partition("=")[2], f": {shown(item)} is not NAME=NUMBER")
        if math.isnan(values[name]):
            raise UserError(f"{option} {shown(text)}: {shown(item)} is not a finite number.")
    return [values.get(name, default) for name in task_names]


def parse_task_numbers(option: str, text: str, task_names: list[str], default: float) -> list[float]:
    """Parses one number for all tasks, or what ``parse_task_values`` parses; their range is the caller's to check.

    Raises:
        UserError: it is neither.
    """
    if "=" in text:
        return parse_task_values(option, text, task_names, default)
    return [_number(option, text, text, " is neither a number nor NAME=NUMBER,..")] * len(task_names)


def _number(option: str, text: str, written: str, otherwise: str) -> float:
    """Returns the number that is written; ``otherwise`` says what is wrong if it is none. It may be NaN."""
    written = written.strip()
    try:
        number = math.nan if written.lower() == "nan" else to_number(written, float)
    except (ValueError, OverflowError):
        raise UserError(f"{option} {shown(text)}{otherwise}.") from None
    if abs(number) > LARGEST:
        raise UserError(f"{option} {shown(text)}: {number} is out of range; allowed: -{LARGEST:g} to {LARGEST:g}.")
    return number


def parse_task_rates(option: str, text: str, task_names: list[str], default: float) -> dict[str, float]:
    """Parses what ``parse_task_numbers`` does to task name -> rate, where only rates make sense.

    Raises:
        UserError: as there, or a number is not from 0 to below 1.
    """
    rates = dict(zip(task_names, parse_task_numbers(option, text, task_names, default)))
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UserError(f"{option} {shown(text)}: {rate} for {name}; a rate must be from 0 to below 1.")
    return rates


def parse_task_texts(option: str, text: str, task_names: list[str]) -> dict[str, str]:
    """Parses one text for all tasks, or ``ocnli=pair,tnews=cls``, to task name -> text in lower case.

    Args:
        option: the setting's name, for errors.
        text: its value; names in any case.
        task_names: the tasks; one that is not named is left out.

    Raises:
        UserError: an item is not NAME=TEXT, or the name is no task's or given twice.
    """
    if text.strip() and "=" not in text:
        return {name: text.strip().lower() for name in task_names}
    found = {name: item.partition("=")[2].strip().lower() for name, item in _items(option, text, task_names).items()}
    for name, value in found.items():
        if not value:
            raise UserError(f"{option} {shown(text)}: {name} has no value; write {name.lower()}=VALUE.")
    return found


def parse_task_words(option: str, text: str, task_names: list[str], allowed: tuple[str, ...]) -> dict[str, str]:
    """Parses what ``parse_task_texts`` does, where only some words are allowed.

    Raises:
        UserError: as there, or a word is not allowed.
    """
    words = parse_task_texts(option, text, task_names)
    wrong = sorted(set(words.values()) - set(allowed))
    if wrong:
        raise UserError(f"{option} {shown(text)}: {wrong[0]!r} is not allowed; allowed: {', '.join(allowed)}.")
    return words


def task_part(text: str, task_name: str) -> str:
    """Returns the same setting for a run of one task alone: other tasks' items are left out."""
    if "=" not in text:
        return text
    items = [part.strip() for part in text.split(",")]
    return ",".join(item for item in items if item.partition("=")[0].strip().lower() == task_name.lower())


def _items(option: str, text: str, task_names: list[str]) -> dict[str, str]:
    """Returns task name -> its item, ``NAME=...``."""
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
