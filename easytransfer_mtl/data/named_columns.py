"""Finds a task's columns in a table by their names."""

import contextlib
import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.data.bad_rows import SEPARATORS, Problem, label_problem
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.tag_units import count_problem, joined_units
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.tasks import LABEL_SEPARATOR, MULTI_LABEL, NO_ID, TAGS, Task

ID_COLUMNS = ("idx", "id", "guid", "index")
FIRST_COLUMNS = ("sentence1", "sentence", "text", "text_a", "content", "premise", "title", "query")
SECOND_COLUMNS = ("sentence2", "text_b", "hypothesis")
LABEL_COLUMNS = ("label", "labels")
"""Names under which columns are found beside the task's own."""
LONGEST_NAME = 30
"""Characters; what is longer looks like a text, not like a column's name."""


@dataclass(frozen=True)
class Wanted:
    """Which columns a table must have.

    Attributes:
        task: whose texts, label and id are wanted.
        labelled: whether the label is.
        exact: whether columns are found by the task's own names only.
    """

    task: Task
    labelled: bool
    exact: bool = False

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Key of the task -> names of its column, the task's own first; without the id's."""
        task = self.task
        found: dict[str, tuple[str, ...]] = {"first_sequence": (task.first_sequence, *FIRST_COLUMNS)}
        if task.second_sequence is not None:
            found["second_sequence"] = (task.second_sequence, *SECOND_COLUMNS)
        if self.labelled:
            found["label_name"] = (task.label_name, *LABEL_COLUMNS)
        return {role: names[:1] if self.exact else names for role, names in found.items()}


@dataclass(frozen=True)
class NamedColumns:
    """The names of a table's columns: of the texts, of the label if one is wanted, and of the id if there is one."""

    texts: tuple[str, ...]
    label: str | None
    row_id: str | None


def find_columns(names: Sequence[str], wanted: Wanted) -> NamedColumns | None:
    """Returns the columns of a table with these names, upper and lower case being the same; None if one is missing."""
    found = {role: _first_of(known, names) for role, known in wanted.roles.items()}
    if None in found.values():
        return None
    texts = tuple(name for role, name in found.items() if name is not None and role != "label_name")
    own = wanted.task.id_column
    row_id = _first_of((own,) if wanted.exact and own != NO_ID else (own, *ID_COLUMNS), names)
    if row_id is None and wanted.exact and own != NO_ID:
        return None
    return NamedColumns(texts, found.get("label_name"), None if row_id in (*texts, found.get("label_name")) else row_id)


def require_columns(names: Sequence[str], wanted: Wanted, where: str, what: str) -> NamedColumns:
    """Returns the columns as ``find_columns`` does.

    Args:
        names: the columns that are there.
        wanted: those that must be.
        where: file and line, for errors.
        what: what a column is called in such a file: columns or keys.

    Raises:
        UserError: one is missing, or two have its name; the message says which, and the likely cause.
    """
    task = wanted.task
    found = find_columns(names, wanted)
    if found is None:
        roles = {**wanted.roles, "id_column": (task.id_column,)} if wanted.exact else wanted.roles
        role = next(role for role, known in roles.items() if _first_of(known, names) is None)
        kind = {"label_name": "label", "id_column": "id"}.get(role, "text")
        asked = [known for each, known in roles.items() if each == role or (kind == "text" and each.endswith("sequence"))]
        raise UserError(
            f"{where}: no {kind} for {task.name} among the {what} {listed([_short(name) for name in names])}; wanted: "
            f"{' and '.join(map(_alternatives, asked))}. {_cause(names, task, roles[role][0], what)}"
        )
    for name in (*found.texts, found.label, found.row_id):
        if name is not None and list(names).count(name) > 1:
            raise UserError(f"{where}: two {what} are called {shown(name)}; give one of them another name.")
    return found


def _alternatives(known: tuple[str, ...]) -> str:
    others = dict.fromkeys(name for name in known[1:] if name != known[0])
    return f"{known[0]} (or {', '.join(others)})" if others else known[0]


def _short(name: str) -> str:
    return name if name.isprintable() and 0 < len(name) <= LONGEST_NAME else shown(name)


def _cause(names: Sequence[str], task: Task, wanted: str, what: str) -> str:
    near = difflib.get_close_matches(wanted.lower(), [name.lower() for name in names], 1, 0.6)
    if near:
        name = next(name for name in names if name.lower() == near[0])
        return f"Is it {shown(name)}? Say so in the task."
    if what == "columns" and len(names) == 1:
        marks = {mark: name for mark, name in SEPARATORS.items() if mark in names[0]}
        other = f": are they separated by {next(iter(marks.values()))}?" if marks else ": is it the right separator?"
        return f"The first line has one column only{other}"
    if what == "columns" and (
        set(names) & set(task.label_enumerate_values)
        or any(name == "" or name.isdigit() or len(name) > 30 for name in names)
    ):
        return "Is the first line a row? A file without a header is tab separated, and its task lists its columns."
    return "Name the columns of the file in the task, or give the file a header that fits."


def _first_of(wanted: Iterable[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(names)}
    for name in wanted:
        if name in names or name.lower() in by_lower:
            return name if name in names else by_lower[name.lower()]
    return None


def row_of(values: dict[str, Any], columns: NamedColumns, task: Task, number: int) -> Row | Problem:
    """Returns the row of a record, or why it is none.

    Args:
        values: column -> value: a text, or what JSON knows.
        columns: where texts, label and id stand.
        task: the task.
        number: of the row, from 0; its id where the table has none.
    """
    texts = []
    for name in columns.texts:
        text = values.get(name)
        if task.type == TAGS and isinstance(text, list):
            text = joined_units(text, name, task.unit)
            if isinstance(text, Problem):
                return text
        if not isinstance(text, str):
            return Problem("text", f"{name} is {shown(text)}, not a text", shown(text))
        if not _is_unicode(text):
            return Problem("half character", f"{name} holds half of a character (a lone surrogate)")
        texts.append(text)
    row_id = str(number) if columns.row_id is None else values.get(columns.row_id)
    if type(row_id) is int:
        row_id = str(row_id)
    if not isinstance(row_id, str):
        return Problem("id", f"{columns.row_id} is {shown(row_id)}, not an id", shown(row_id))
    if columns.label is None:
        return Row(row_id, tuple(texts), None)
    label = label_of(
        values.get(columns.label), {name: value for name, value in values.items() if isinstance(value, str)}, task
    )
    if isinstance(label, Problem):
        return label
    return count_problem(label, texts[0], task) or Row(row_id, tuple(texts), label)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def label_of(value: Any, others: dict[str, str], task: Task) -> str | Problem:
    """Returns the text of the label that a value stands for, or why it stands for none.

    Numbers and true and false are labels as JSON writes them. Several labels of a row are a list, or a text with the task's
    ``label_separator`` between them; tags are a list, also one in JSON in a text, or a text with spaces between them.

    Args:
        value: what stands in the label's column.
        others: column -> text of the row, for hints.
        task: the task. As long as its labels are not learned, every text is one.
    """
    parts = _parts(value, task)
    if parts is None:
        reason = f"the label is {shown(value)}; a label is a text or a number"
        hints = (f'are they several labels a row? the type is "{MULTI_LABEL}" then',) if isinstance(value, list) else ()
        return Problem("label", reason, shown(value), hints)
    if task.type == MULTI_LABEL and any(LABEL_SEPARATOR in part for part in parts):
        reason = f"a label in {shown(value)} holds {LABEL_SEPARATOR!r}, which no label of several a row may"
        return Problem("label", reason, shown(value))
    label = (" " if task.type == TAGS else LABEL_SEPARATOR).join(parts)
    return label if task.is_label(label) else label_problem(label, others, task)


def _parts(value: Any, task: Task) -> list[str] | None:
    """Returns the labels that a value stands for, one unless the task has several a row; None for what is no label."""
    if task.type == TAGS and isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if task.type in (MULTI_LABEL, TAGS) and isinstance(value, list):
        texts = [_text(each) for each in value]
        return [text for text in texts if text is not None] if None not in texts else None
    text = _text(value)
    if task.type == TAGS:
        return None if text is None else text.split()
    if text is None or task.type != MULTI_LABEL:
        return None if text is None else [text]
    return text.split(task.label_separator or LABEL_SEPARATOR) if text else []


def _text(value: Any) -> str | None:
    if value is None or value != value:  # a missing value, of JSON or of a DataFrame
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None
