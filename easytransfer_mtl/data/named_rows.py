"""Rows of tables that name their columns, by a header or as JSON lines, and of texts without columns."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.data.bad_rows import Problem, encoding_problem
from easytransfer_mtl.data.encodings import LONGEST_LINE, byte_lines, codec
from easytransfer_mtl.data.named_columns import NamedColumns, Wanted, require_columns, row_of
from easytransfer_mtl.data.rows import ReadLine, Row
from easytransfer_mtl.data.table_form import TSV, TableForm
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.tasks import Task

ESCAPED = "surrogateescape"
"""Keeps bytes that cannot be decoded in a text, so that the row with them can be named."""


def header_rows(path: Path, form: TableForm, wanted: Wanted) -> Iterator[ReadLine]:
    """Yields the header and every record of a csv or tsv file; blank lines are no records.

    Raises:
        UserError: a wanted column is missing, or the quotes are not in order.
    """
    found = records(path, form)
    number, content, names = next(found, (1, b"", [""]))
    names = [name.strip() for name in names]
    columns = require_columns(names, wanted, f"{path}, line {number}", "columns")
    yield ReadLine(number, content, None)
    count = 0
    for number, content, values in found:
        yield ReadLine(number, content, _parsed(values, content, names, columns, form, wanted.task, count))
        count += 1


def records(path: Path, form: TableForm) -> Iterator[tuple[int, bytes, list[str]]]:
    """Yields line number, bytes and values of the header and of every record of a csv or tsv file that is not blank."""
    found = _tab_separated(path, form) if form.format == TSV else _quoted(path, form)
    return (record for record in found if record[1].strip(b"\r\n"))


def _parsed(
    values: list[str], content: bytes, names: list[str], columns: NamedColumns, form: TableForm, task: Task, count: int
) -> Row | Problem:
    try:
        content.decode(codec(form.encoding))
    except UnicodeDecodeError as error:
        return encoding_problem(content, error.start, form.encoding)
    if len(values) != len(names):
        reason = f"found {len(values)} columns, the header has {len(names)} ({listed(names)})"
        hints = []
        if len(values) > len(names) and form.format != TSV:
            hints.append(f"does a text with {shown(form.separator)} in it stand without quotes?")
        if len(values) < len(names):
            hints.append("does a text hold a line end, or is the row cut off?")
        return Problem("columns", reason, f"{len(values)} columns", tuple(hints))
    return row_of(dict(zip(names, values, strict=True)), columns, task, count)


def _tab_separated(path: Path, form: TableForm) -> Iterator[tuple[int, bytes, list[str]]]:
    """Yields line number, bytes and values of every line."""
    for number, line in byte_lines(path, form.encoding):
        yield number, line, line.rstrip(b"\r\n").decode(codec(form.encoding), ESCAPED).split("\t")


class _Lines:
    """Iterates over a file's lines as text, and remembers those of the current record."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.taken: list[bytes] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in byte_lines(self._path, self._encoding):
            self.number = number
            self.taken.append(line)
            yield line.decode(codec(self._encoding), ESCAPED)


def _quoted(path: Path, form: TableForm) -> Iterator[tuple[int, bytes, list[str]]]:
    """Yields line number, bytes and values of every record of a file with quotes around fields."""
    lines = _Lines(path, form.encoding)
    reader = csv.reader(lines, delimiter=form.separator, strict=True)
    while True:
        lines.taken.clear()
        before, first = csv.field_size_limit(LONGEST_LINE), lines.number + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            place = f"line {first}" if lines.number <= first else f"lines {first} to {lines.number}"
            raise UserError(f"{path}, {place}: {error}. Are its quotes in order?") from None
        finally:
            csv.field_size_limit(before)
        if values is None:
            return
        yield first, b"".join(lines.taken), values


def json_rows(path: Path, form: TableForm, wanted: Wanted) -> Iterator[ReadLine]:
    """Yields every line of a file of JSON objects; blank lines have no row. The first object's keys are the columns.

    Raises:
        UserError: the first object lacks a wanted column.
    """
    columns: NamedColumns | None = None
    count = 0
    for number, line in byte_lines(path, form.encoding):
        if not line.strip():
            yield ReadLine(number, line, None)
            continue
        value = _json_object(line, form.encoding)
        if isinstance(value, Problem):
            yield ReadLine(number, line, value)
        else:
            columns = columns or require_columns(tuple(value), wanted, f"{path}, line {number}", "keys")
            yield ReadLine(number, line, row_of(value, columns, wanted.task, count))
        count += 1


def _json_object(line: bytes, encoding: str) -> dict[str, object] | Problem:
    try:
        text = line.rstrip(b"\r\n").decode(codec(encoding))
    except UnicodeDecodeError as error:
        return encoding_problem(line, error.start, encoding)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    hints = ("is it one list? write a row a line",) if text.lstrip().startswith("[") else ()
    return Problem("json", f"not a JSON object (found {shown(text)})", hints=hints)


def text_rows(path: Path, form: TableForm, task: Task) -> Iterator[ReadLine]:
    """Yields every line of a file without columns: a text, or the two texts of a pair with a tab between them."""
    count = 1 if task.second_sequence is None else 2
    for number, line in byte_lines(path, form.encoding):
        try:
            text = line.rstrip(b"\r\n").decode(codec(form.encoding))
        except UnicodeDecodeError as error:
            yield ReadLine(number, line, encoding_problem(line, error.start, form.encoding))
            continue
        texts = tuple(text.split("\t")) if count > 1 else (text,)
        if len(texts) == count:
            yield ReadLine(number, line, Row(str(number - 1), texts, None))
        else:
            reason = f"found {len(texts)} texts, expected {count} separated by a tab"
            yield ReadLine(number, line, Problem("texts", reason, f"{len(texts)} texts"))
