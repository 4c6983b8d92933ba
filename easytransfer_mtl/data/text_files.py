"""Files of texts without labels: the contest's, CSV with a header, JSON lines, or plain text with a row a line."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from easytransfer_mtl.config.sections import TEXT_FORMATS
from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.data.csv_reader import BOM, LONGEST_LINE, CsvTally, Row, check_rows, require_rows, stream_rows
from easytransfer_mtl.data.wrong_files import check_is_plain_text
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import naming
from easytransfer_mtl.tasks import Task

CONTEST, CSV, JSONL, TEXT = TEXT_FORMATS
ID_COLUMNS = ("idx", "id", "guid", "index")
FIRST_COLUMNS = ("sentence1", "sentence", "text", "text_a", "content", "premise", "title", "query")
SECOND_COLUMNS = ("sentence2", "text_b", "hypothesis")
SEPARATORS = ",\t;"


class _Columns(NamedTuple):
    """The names of a table's columns: of the texts, and of the id if there is one."""

    texts: tuple[str, ...]
    row_id: str | None


class TextFile:
    """A file of rows to predict; it is read again for every pass, in memory that does not grow with it."""

    def __init__(self, path: str | os.PathLike[str], task: Task, form: str = "auto", header: bool = False) -> None:
        """Looks at the first line.

        Args:
            path: the file, UTF-8.
            task: its columns have the texts; ``ID_COLUMNS``, ``FIRST_COLUMNS`` and ``SECOND_COLUMNS`` are known beside them.
            form: one of ``TEXT_FORMATS``, or ``auto`` to tell by the file's ending and first line.
            header: whether the first line of a file in the contest's format is passed over; it is such a file then.

        Raises:
            UserError: the file does not exist, is no text, or has no column for a text.
        """
        self.path, self.task, self.header = Path(path), task, header
        if not self.path.is_file():
            raise UserError(f"{task.name}: {self.path} is not a file.")
        first = self._first_line() if not (header or form == CONTEST) else b""
        self.form = form if form != "auto" else CONTEST if header else _form_of(self.path, first, task)
        if self.form != CONTEST:
            check_is_plain_text(self.path)

    def rows(self) -> Iterator[Row]:
        """Yields the rows; their ids are line numbers from 0 where the file has none, as the contest counts.

        Raises:
            UserError: a row is bad; ``check`` names all of them.
        """
        tally = self._tally()
        yield from self._read(tally)
        check_rows(tally)

    def check(self) -> int:
        """Reads the file to its end and returns its number of rows.

        Raises:
            UserError: there are bad rows (all are named), two have one id, or there is none.
        """
        tally, seen = self._tally(), dict[str, int]()
        for number, row in enumerate(self._read(tally)):
            if seen.setdefault(row.row_id, number) != number:
                rows = f"rows {seen[row.row_id]} and {number} (from 0)"
                raise UserError(f"{self.path}: id {shown(row.row_id)} is that of {rows}; every row needs an id of its own.")
        check_rows(tally)
        require_rows(tally)
        return tally.good_rows

    def _tally(self) -> CsvTally:
        return CsvTally(self.path, self.task, labelled=False, header=self.header)

    def _read(self, tally: CsvTally) -> Iterator[Row]:
        if self.form == CONTEST:
            return stream_rows(tally)
        read: Callable[[CsvTally], Iterator[Row]] = {CSV: self._csv, JSONL: self._jsonl, TEXT: self._text}[self.form]
        return read(tally)

    def _text(self, tally: CsvTally) -> Iterator[Row]:
        count = len(_text_columns(self.task))
        for number, line in self._lines(tally):
            texts = tuple(line.split("\t")) if count > 1 else (line,)
            if len(texts) != count:
                reason = f"found {len(texts)} texts, expected {count} separated by a tab"
                tally.bad_rows.add(self.path, number, len(line), Problem("texts", reason, f"{len(texts)} texts"))
                continue
            tally.good_rows += 1
            yield Row(str(number - 1), texts, None)

    def _jsonl(self, tally: CsvTally) -> Iterator[Row]:
        columns: _Columns | None = None
        for number, line in self._lines(tally):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                hint = ("is it one list? write a row a line",) if line.startswith("[") else ()
                problem = Problem("json", f"not a JSON object (found {shown(line)})", hints=hint)
                tally.bad_rows.add(self.path, number, len(line), problem)
                continue
            columns = columns or _columns_of(tuple(value), self.task, f"{self.path}, line {number}", "keys")
            parsed = _row_of(value, columns, number - 1)
            if isinstance(parsed, Problem):
                tally.bad_rows.add(self.path, number, len(line), parsed)
                continue
            tally.good_rows += 1
            yield parsed

    def _csv(self, tally: CsvTally) -> Iterator[Row]:
        before = csv.field_size_limit(LONGEST_LINE)
        try:
            with naming(self.path), open(self.path, encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, delimiter=_separator_of(self._first_line()), strict=True)
                names = tuple(name.strip() for name in next(reader, []))
                columns = _columns_of(names, self.task, f"{self.path}, line 1", "columns")
                for count, values in enumerate(reader):
                    tally.bytes_read += 1
                    if len(values) != len(names):
                        reason = f"found {len(values)} columns, the header has {len(names)} ({listed(names)})"
                        problem = Problem("columns", reason, f"{len(values)} columns")
                        tally.bad_rows.add(self.path, reader.line_num, 0, problem)
                        continue
                    parsed = _row_of(dict(zip(names, values, strict=True)), columns, count)
                    assert isinstance(parsed, Row)  # a CSV has strings only
                    tally.good_rows += 1
                    yield parsed
        except csv.Error as error:
            raise UserError(f"{self.path}, line {reader.line_num}: {error}. Are its quotes in order?") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path} is not UTF-8 ({error.reason}); save it as UTF-8.") from None
        finally:
            csv.field_size_limit(before)

    def _lines(self, tally: CsvTally) -> Iterator[tuple[int, str]]:
        """Yields the number (from 1) and text of every line; lines that are not UTF-8 are bad rows."""
        with naming(self.path), open(self.path, "rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE:
                    raise UserError(f"{self.path}: line {number} has more than {LONGEST_LINE:,} bytes. Is it text?")
                tally.bytes_read += len(line)
                content = (line.removeprefix(BOM) if number == 1 else line).rstrip(b"\r\n")
                try:
                    yield number, content.decode("utf-8")
                except UnicodeDecodeError as error:
                    reason = f"byte {error.start + 1} of the line is not UTF-8"
                    tally.bad_rows.add(self.path, number, len(line), Problem("encoding", reason))

    def _first_line(self) -> bytes:
        with naming(self.path), open(self.path, "rb") as stream:
            return stream.readline(LONGEST_LINE + 1).removeprefix(BOM).rstrip(b"\r\n")


def _form_of(path: Path, first: bytes, task: Task) -> str:
    ending, line = path.suffix.lower(), first.decode("utf-8", "replace")
    if ending in (".jsonl", ".ndjson") or line.lstrip().startswith("{"):
        return JSONL
    if ending == ".txt":
        return TEXT
    names = _names_in(line)
    if _found_columns(names, task):
        return CSV
    if "\t" in line or ending in (".csv", ".tsv"):
        return CONTEST
    return TEXT


def _separator_of(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return max(SEPARATORS, key=text.count)


def _names_in(line: str) -> tuple[str, ...]:
    try:
        return tuple(
            name.strip() for name in next(csv.reader(io.StringIO(line), delimiter=_separator_of(line.encode())), [])
        )
    except csv.Error:
        return ()


def _text_columns(task: Task) -> tuple[str, ...]:
    return (task.first_sequence,) if task.second_sequence is None else (task.first_sequence, task.second_sequence)


def _found_columns(names: tuple[str, ...], task: Task) -> tuple[str, ...]:
    """Returns the names of the columns with the task's texts; an empty tuple if one is not there."""
    known = zip(_text_columns(task), (FIRST_COLUMNS, SECOND_COLUMNS), strict=False)
    by_lower = {name.lower(): name for name in reversed(names)}
    found = [next((by_lower[name] for name in (own.lower(), *others) if name in by_lower), None) for own, others in known]
    texts = tuple(name for name in found if name is not None)
    return texts if len(texts) == len(found) else ()


def _columns_of(names: tuple[str, ...], task: Task, where: str, what: str) -> _Columns:
    texts = _found_columns(names, task)
    if not texts:
        wanted = " and ".join(
            f"{own} (or {', '.join(name for name in others if name != own)})"
            for own, others in zip(_text_columns(task), (FIRST_COLUMNS, SECOND_COLUMNS), strict=False)
        )
        raise UserError(f"{where}: no text for {task.name} among the {what} {listed(names)}; wanted: {wanted}.")
    by_lower = {name.lower(): name for name in names}
    row_id = next((by_lower[name] for name in (task.id_column.lower(), *ID_COLUMNS) if name in by_lower), None)
    return _Columns(texts, row_id)


def _row_of(values: dict[str, Any], columns: _Columns, place: int) -> Row | Problem:
    texts = []
    for name in columns.texts:
        text = values.get(name)
        if not isinstance(text, str):
            return Problem("text", f"{name} is {shown(text)}, not a text", shown(text))
        texts.append(text)
    row_id = str(place) if columns.row_id is None else values.get(columns.row_id)
    if type(row_id) is int:
        row_id = str(row_id)
    if not isinstance(row_id, str):
        return Problem("id", f"{columns.row_id} is {shown(row_id)}, not an id", shown(row_id))
    return Row(row_id, tuple(texts), None)
