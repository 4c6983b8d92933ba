"""Checks of ids and texts passed from Python, before they reach a model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.data.tag_units import joined_units
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.tasks import TAGS, Task

_NO_LISTS = (str, bytes, bytearray, Mapping, set, frozenset)


def checked_ids(ids: Any, where: str) -> list[str]:
    """Returns the ids as a list of strings.

    Args:
        ids: a list, array, series or generator of strings.
        where: the file or task, for error messages.

    Raises:
        UserError: it is none of these, or an id is not a string or not unique.
    """
    result: list[str] = []
    first: dict[str, int] = {}
    for row, value in enumerate(_listed(ids, f"{where}: ids", "strings")):
        if not isinstance(value, str):
            found = f"{where}: id {_found(value)} of row {row} (from 0)"
            raise UserError(f"{found} is not a string; give ids as they stand in the file.")
        if first.setdefault(value, row) != row:
            rows = f"rows {first[value]} and {row} (from 0)"
            raise UserError(f"{where}: id {shown(value)} is that of {rows}; every row needs an id of its own.")
        result.append(str(value))
    return result


def checked_texts(texts: Any, task: Task, start: int = 0) -> list[tuple[str, ...]]:
    """Returns each row's texts as a tuple.

    Args:
        texts: a list, array, series or generator. For a task with one text a row is a string, or a tuple, list or array with
            one string; for a task with pairs a tuple, list or array with two. For a task with tags it may have the
            characters or words of a text, which become the text, words with a space between them.
        task: the task.
        start: number of the first row in messages.

    Raises:
        UserError: it is none of these; the message names the row, what was found and what is allowed.
    """
    count = texts_a_row(task)
    wanted = "a pair of texts, such as ('...', '...')" if count == 2 else "one text, a string"
    if task.type == TAGS:
        wanted += f", or the list of its {task.unit}s"
    result: list[tuple[str, ...]] = []
    for row, value in enumerate(_listed(texts, f"{task.name}: texts", "rows"), start):
        parts = [value] if isinstance(value, str) else value
        if isinstance(parts, np.ndarray) and parts.ndim == 1:
            parts = parts.tolist()
        where = f"{task.name}: row {row} of the texts (from 0)"
        if not isinstance(parts, (list, tuple)):
            raise UserError(f"{where} is {_found(value)}; the task wants {wanted}.")
        for part in parts:
            if not isinstance(part, str):
                raise UserError(f"{where} has {_found(part)} for a text; the task wants {wanted}.")
        if task.type == TAGS and len(parts) != 1:
            joined = joined_units(parts, "the text", task.unit)
            if isinstance(joined, Problem):
                raise UserError(f"{where}: {joined.reason}.")
            parts = [joined]
        if len(parts) != count:
            found = f"the one text {shown(value)}" if isinstance(value, str) else f"{len(parts)} texts: {shown(parts)}"
            raise UserError(f"{where} is {found}; the task wants {wanted}.")
        result.append(tuple(map(str, parts)))
    return result


def tasks_reading(first_row: Any, tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks that read as many texts a row as ``first_row`` has.

    Raises:
        UserError: there is none.
    """
    count = len(first_row) if isinstance(first_row, (tuple, list)) and first_row else 1
    fitting = [task for task in tasks if texts_a_row(task) == count]
    if not fitting:
        each = listed([f"{task.name} ({texts_a_row(task)})" for task in tasks])
        raise UserError(f"No task reads {count} texts a row; the tasks and what they read: {each}.")
    return fitting


def texts_a_row(task: Task) -> int:
    """Returns how many texts a row of the task has."""
    return 1 if task.second_sequence is None else 2


def check_lengths(ids: list[str], texts: list[tuple[str, ...]], task: Task) -> None:
    """Raises UserError if there is not exactly one id per row."""
    if len(ids) != len(texts):
        raise UserError(f"{task.name}: there are {len(ids):,} ids and {len(texts):,} texts; give one id for each.")


def _listed(values: Any, where: str, what: str) -> Iterable[Any]:
    is_table = hasattr(values, "columns") or (isinstance(values, np.ndarray) and values.ndim == 0)
    if is_table or isinstance(values, _NO_LISTS) or not isinstance(values, Iterable):
        raise UserError(f"{where} is {_found(values)}; give a list of {what}.")
    return values


def _found(value: Any) -> str:
    return f"{shown(value)} (of type {type(value).__name__})"
