"""From what a request asks to checked rows of tasks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.evaluation.given_texts import checked_texts, tasks_reading
from easytransfer_mtl.serving.limits import Limits
from easytransfer_mtl.tasks import Task, task_named

ALLOWED = 'give a string, a list of strings, or a list of pairs ["...", "..."]'


class Asked(NamedTuple):
    """What a request asks.

    Attributes:
        tasks: the tasks to predict.
        rows: a tuple of texts per row.
        is_one: whether the request holds a string instead of a list.
    """

    tasks: tuple[Task, ...]
    rows: list[tuple[str, ...]]
    is_one: bool


def asked_rows(task: str | None, texts: Any, tasks: Sequence[Task], limits: Limits) -> Asked:
    """Checks the values of a request.

    Args:
        task: name of a task; None for all tasks that read as many texts a row.
        texts: a string, a list of strings, or a list of lists of two strings; for a named task with tags a list of lists of
            characters or words.
        tasks: the model's.
        limits: how many texts, and how long ones.

    Raises:
        UserError: a value does not fit; the message names the row, what was found and what is allowed.
    """
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, list):
        raise UserError(f"texts is {shown(texts)}; {ALLOWED}.")
    if not given:
        raise UserError(f"texts is an empty list; {ALLOWED}.")
    if len(given) > limits.texts:
        raise UserError(
            f"texts has {len(given):,} rows; a request may have {limits.texts:,} at most. Send several requests."
        )
    chosen = tasks_reading(given[0], tasks) if task is None else [task_named(task, tuple(tasks))]
    rows = checked_texts(given, chosen[0])
    for number, row in enumerate(rows):
        for text in row:
            _check_text(text, f"row {number} of the texts (from 0)", limits.characters)
    return Asked(tuple(chosen), rows, isinstance(texts, str))


def _check_text(text: str, where: str, most: int) -> None:
    if len(text) > most:
        raise UserError(f"{where} has {len(text):,} characters; a text may have {most:,} at most.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{where} has half a surrogate pair, which is no character; send whole characters.") from None
