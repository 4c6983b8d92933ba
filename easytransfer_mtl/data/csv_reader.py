"""Reads the contest's tab separated files line by line, as EasyTransfer did, and tells what is wrong with them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import naming, replacing
from easytransfer_mtl.tasks import Task

BOM = b"\xef\xbb\xbf"
ROWS_SHOWN = 20


@dataclass(frozen=True)
class Row:
    """One row of a contest file: its id as it stands there, one or two texts, and the label or None."""

    row_id: str
    texts: tuple[str, ...]
    label: str | None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: line number from 1, the reason, and the line's bytes as they are in the file."""

    line: int
    reason: str
    raw: bytes


@dataclass
class CsvTally:
    """What was found in a file so far: the number of good rows, the bad ones, and how many rows have an empty text."""

    path: Path
    bytes_read: int = 0
    good_rows: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)
    empty_texts: int = 0


@dataclass
class CsvContent(CsvTally):
    """The same of a whole file, with its good rows."""

    rows: list[Row] = field(default_factory=list)


def split_lines(content: bytes) -> list[bytes]:
    """Splits at LF only and keeps every other byte; what follows the last LF is a line unless it is empty or CRs."""
    lines = content.split(b"\n")
    return lines if lines[-1].strip(b"\r") else lines[:-1]


def read_csv(path: str | os.PathLike[str], task: Task, labelled: bool, header: bool = False) -> CsvContent:
    """Reads every row of a file into memory; arguments and errors as ``stream_rows``.

    Returns:
        Good and bad rows; see ``check_rows`` for what to do with the bad ones.
    """
    content = CsvContent(Path(path))
    content.rows.extend(stream_rows(content, task, labelled, header))
    return content


def stream_rows(tally: CsvTally, task: Task, labelled: bool, header: bool = False) -> Iterator[Row]:
    """Yields the good rows of the tab separated file ``tally.path``, one in memory at a time; quotes are ordinary.

    Args:
        tally: names the file (UTF-8 with or without a byte order mark, LF or CRLF), and counts what is found.
        task: gives columns and labels.
        labelled: whether the rows have the label column.
        header: whether the first line is a header, to be passed over.

    Raises:
        UserError: there is no such file.
    """
    if not tally.path.is_file():
        raise UserError(f"{task.name}: {tally.path} is not a file.")
    return _rows(tally, task, task.columns if labelled else task.unlabelled_columns, labelled, header)


def _rows(tally: CsvTally, task: Task, columns: tuple[str, ...], labelled: bool, header: bool) -> Iterator[Row]:
    with naming(tally.path), open(tally.path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            tally.bytes_read += len(line)
            if number == 1:
                line = line.removeprefix(BOM)
            if not line.endswith(b"\n") and not line.strip(b"\r"):
                return  # nothing but CRs after the last LF
            if header and number == 1:
                continue
            # EasyTransfer's line reader dropped every CR, also inside a line.
            parsed = _parse(line.removesuffix(b"\n").replace(b"\r", b""), columns, task, labelled)
            if isinstance(parsed, str):
                tally.bad_rows.append(BadRow(number, parsed, line.removesuffix(b"\n")))
                continue
            tally.good_rows += 1
            tally.empty_texts += "" in parsed.texts
            yield parsed


def _parse(line: bytes, columns: tuple[str, ...], task: Task, labelled: bool) -> Row | str:
    """Returns the row, or the reason why there is none."""
    try:
        fields = line.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} of the line is not UTF-8 (found {line[error.start : error.start + 4]!r})"
    if len(fields) != len(columns) or line == b"":
        return _column_reason(fields if line else [], columns, task, labelled)
    values = dict(zip(columns, fields))
    label = values[task.label_name] if labelled else None
    if labelled and label not in task.label_enumerate_values:
        return _label_reason(fields, columns, str(label), task)
    texts = [values[task.first_sequence]]
    if task.second_sequence:
        texts.append(values[task.second_sequence])
    return Row(values[task.id_column], tuple(texts), label)


def _column_reason(fields: list[str], columns: tuple[str, ...], task: Task, labelled: bool) -> str:
    if not fields:
        return f"the line is empty; expected {len(columns)} columns"
    reason = f"found {len(fields)} columns, expected {len(columns)} ({', '.join(columns)}) separated by tabs"
    if labelled and len(fields) == len(task.unlabelled_columns):
        return reason + "; is it a file without labels?"
    if not labelled and len(fields) == len(task.columns):
        return reason + "; is it a file with labels?"
    return reason


def _label_reason(fields: list[str], columns: tuple[str, ...], label: str, task: Task) -> str:
    allowed = ",".join(task.label_enumerate_values)
    if label == task.label_name or [value.lower() for value in fields] == [column.lower() for column in columns]:
        return f"label {label!r} looks like a header's: pass --header if the first line is one (labels: {allowed})"
    if label == "":
        return f"the label is missing; allowed: {allowed}"
    near = [known for known in task.label_enumerate_values if known.lower() == label.strip().lower()]
    hint = f"; did you mean {near[0]!r} (labels are compared exactly)?" if near else ""
    return f"unknown label {label!r}; allowed: {allowed}{hint}"


def check_rows(tally: CsvTally, on_bad_row: str, rejects_path: str | os.PathLike[str] | None = None) -> None:
    """Deals with bad rows: all of them in one error, or written to a file and passed over.

    Args:
        tally: a file that was read to its end.
        on_bad_row: ``error`` or ``skip``.
        rejects_path: with ``skip``, where the bad lines go: line number, reason and the line, tab separated. None where
            rows cannot be skipped.

    Raises:
        UserError: there are bad rows and ``on_bad_row`` is ``error``.
    """
    if not tally.bad_rows:
        return
    if on_bad_row == "skip" and rejects_path is not None:
        with replacing(rejects_path) as temporary, open(temporary, "wb") as stream:
            for row in tally.bad_rows:
                stream.write(f"{row.line}\t{row.reason}\t".encode() + row.raw + b"\n")
        return
    shown = [f"  line {row.line}: {row.reason}" for row in tally.bad_rows[:ROWS_SHOWN]]
    more = [str(row.line) for row in tally.bad_rows[ROWS_SHOWN:]]
    if more:
        shown.append(f"  and {len(more)} more, in the lines {', '.join(more)}")
    advice = "" if rejects_path is None else ", or pass --on_bad_row=skip to set them aside in a rejects file"
    raise UserError(
        f"{tally.path}: {len(tally.bad_rows)} bad rows, {tally.good_rows} good ones:\n"
        + "\n".join(shown)
        + f"\nCorrect the file{advice}."
    )
