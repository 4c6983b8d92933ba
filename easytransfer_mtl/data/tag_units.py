"""What has a tag of its own: the characters or the words of a text."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.errors import shown
from easytransfer_mtl.tasks import CHARACTER, OUTSIDE, TAGS, Task

NO_TAG = -1
"""Tag id of tokens that carry none, and of the places behind a row's last tag."""
_WORD = re.compile(r"\S+")


def unit_spans(text: str, unit: str) -> list[tuple[int, int]]:
    """Returns start and end, in characters, of each unit of a text: of every character, or of every word."""
    if unit == CHARACTER:
        return [(place, place + 1) for place in range(len(text))]
    return [match.span() for match in _WORD.finditer(text)]


def units_of(text: str, unit: str) -> list[str]:
    """Returns the characters or the words of a text."""
    return list(text) if unit == CHARACTER else _WORD.findall(text)


def joined_units(value: Sequence[Any], name: str, unit: str) -> str | Problem:
    """Returns the text that a list of characters or words stands for, words with a space between them.

    Args:
        value: the list.
        name: its column, for the problem.
        unit: one of ``UNITS``.
    """
    wrong = [item for item in value if not isinstance(item, str) or len(units_of(item, unit)) != 1 or item.strip() != item]
    if unit == CHARACTER:
        wrong = [item for item in value if not isinstance(item, str) or len(item) != 1]
    if wrong:
        reason = f"{name} is a list with {shown(wrong[0])}, which is not one {unit}"
        return Problem("units", reason, shown(wrong[0]))
    return ("" if unit == CHARACTER else " ").join(value)


def count_problem(label: str | None, text: str, task: Task) -> Problem | None:
    """Returns the problem of a row of the type ``tags`` whose text has more or fewer units than tags, else None."""
    if task.type != TAGS or label is None:
        return None
    units, tags = len(units_of(text, task.unit)), len(label.split())
    if units == tags:
        return None
    hints = []
    if task.unit == CHARACTER and tags == len(text.split()):
        hints.append('is it one tag a word? the task says "unit": "word" then')
    elif task.unit != CHARACTER and tags == len(text):
        hints.append('is it one tag a character? the task says "unit": "character" then')
    elif task.unit == CHARACTER and tags == len("".join(text.split())):
        hints.append("white space within the text is a character too, and has a tag")
    reason = f"{tags} tags for {units} {task.unit}s of the text {shown(text)}"
    return Problem("tags", reason, hints=tuple(hints))


def padded_tags(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns lists of tag ids as int32 [N, U], U the longest one's length, filled up with ``NO_TAG``."""
    found = np.full((len(rows), max(map(len, rows), default=0)), NO_TAG, np.int32)
    for row, tags in zip(found, rows, strict=True):
        row[: len(tags)] = tags
    return found


def widened(values: np.ndarray, width: int, fill: float = 0) -> np.ndarray:
    """Returns an array [N, U, ...] with ``fill`` behind each row's values, so that U is at least ``width``."""
    more = max(0, width - values.shape[1])
    return np.pad(values, [(0, 0), (0, more)] + [(0, 0)] * (values.ndim - 2), constant_values=fill) if more else values


def tag_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Returns kind, first and last place of each entity that tags name, in their order.

    An entity begins with ``B-``, or with an ``I-`` that does not follow a tag of its kind, as seqeval counts in its default
    mode.
    """
    found: list[tuple[str, int, int]] = []
    for place, (before, tag) in enumerate(zip([OUTSIDE, *tags], tags)):
        if tag.startswith("I-") and before[2:] == tag[2:]:
            found[-1] = (*found[-1][:2], place)
        elif tag != OUTSIDE:
            found.append((tag[2:], place, place))
    return found
