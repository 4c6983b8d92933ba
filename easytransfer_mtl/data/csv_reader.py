"""Reads the contest's tab separated files line by line, as EasyTransfer did, and reports what is wrong with them."""

import functools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.config.sections import MAX_BAD_SHARE
from easytransfer_mtl.data.bad_rows import BadRows, Problem, column_problem, encoding_problem, header_problem, label_problem
from easytransfer_mtl.data.wrong_files import check_is_text
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import naming, replacing
from easytransfer_mtl.tasks import Task

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 20
"""In bytes; the contest's longest row has about 900."""


@dataclass(frozen=True)
class Row:
    """One row of a contest file: the unchanged id, one or two texts, and the label or None."""

    row_id: str
    texts: tuple[str, ...]
    label: str | None


@dataclass
class CsvTally:
    """A tab separated file, the format of its rows, and what was found in it so far.

    Attributes:
        path: the file (UTF-8 with or without a byte order mark, LF or CRLF).
        task: defines columns and labels.
        labelled: whether the rows have the label column.
        header: whether the first line is a header, which is skipped.
        line: number of the line that was read last, from 1.
        bytes_read: bytes of the file that were read.
        good_rows: number of good rows.
        bad_rows: the bad rows by cause.
        empty_texts: number of good rows with an empty text.
    """

    path: Path
    task: Task
    labelled: bool
    header: bool = False
    line: int = 0
    bytes_read: int = 0
    good_rows: int = 0
    bad_rows: BadRows = field(default_factory=BadRows)
    empty_texts: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row, with the label column if ``labelled``."""
        return self.task.columns if self.labelled else self.task.unlabelled_columns


@dataclass
class CsvContent(CsvTally):
    """A ``CsvTally`` of a whole file, with its good rows."""

    rows: list[Row] = field(default_factory=list)


def split_lines(content: bytes) -> list[bytes]:
    """Splits at LF only and keeps every other byte; the part after the last LF is a line unless it is empty or only CRs."""
    lines = content.split(b"\n")
    return lines if lines[-1].strip(b"\r") else lines[:-1]


def read_csv(path: str | os.PathLike[str], task: Task, labelled: bool, header: bool = False) -> CsvContent:
    """Reads all rows of a file into memory; arguments as in ``CsvTally``, errors as in ``stream_rows``.

    Returns:
        The good rows, and the problems of the bad ones, which ``check_rows`` handles.
    """
    content = CsvContent(Path(path), task, labelled, header)
    content.rows.extend(stream_rows(content))
    return content


def stream_rows(tally: CsvTally) -> Iterator[Row]:
    """Yields the good rows of a file one by one and updates the counts; quotes are ordinary characters.

    Raises:
        UserError: the file does not exist or is wrong as a whole: another format or encoding, or no line ends.
    """
    if not tally.path.is_file():
        raise UserError(f"{tally.task.name}: {tally.path} is not a file.")
    check_is_text(tally.path, len(tally.columns))
    return _counted(tally)


def _counted(tally: CsvTally) -> Iterator[Row]:
    for number, line, parsed in _parsed_lines(tally):
        tally.line, tally.bytes_read = number, tally.bytes_read + len(line)
        if isinstance(parsed, Problem):
            tally.bad_rows.add(tally.path, number, len(line), parsed)
        elif parsed is not None:
            tally.good_rows += 1
            tally.empty_texts += "" in parsed.texts
            yield parsed


def _parsed_lines(tally: CsvTally) -> Iterator[tuple[int, bytes, Row | Problem | None]]:
    """Yields (number from 1, bytes, row or problem) of every line; the third is None for the header."""
    with naming(tally.path), open(tally.path, "rb") as stream:
        for number, line in enumerate(iter(functools.partial(stream.readline, LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:
                raise UserError(
                    f"{tally.path}: line {number} has more than {LONGEST_LINE:,} bytes. Are its line ends lost, or is it "
                    "not text? Get the file again."
                )
            content = line.removeprefix(BOM) if number == 1 else line
            if not content.endswith(b"\n") and not content.strip(b"\r"):
                return  # nothing but CRs after the last LF
            # EasyTransfer's line reader dropped every CR, also inside a line.
            parsed: Row | Problem | None = _parse(content.removesuffix(b"\n").replace(b"\r", b""), tally, number)
            if tally.header and number == 1:
                if isinstance(parsed, Row) and parsed.row_id.isdigit():
                    logging.warning("%s: the first line is passed over as a header, but it looks like a row", tally.path)
                parsed = None
            yield number, line, parsed


def _parse(line: bytes, tally: CsvTally, number: int) -> Row | Problem:
    task, columns, labelled = tally.task, tally.columns, tally.labelled
    try:
        fields = line.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        return encoding_problem(line, error.start)
    if number == 1 and not tally.header:
        problem = header_problem(fields, columns, task, labelled)
        if problem:
            return problem
    if len(fields) != len(columns) or line == b"":
        return column_problem(fields if line else [], columns, task, labelled)
    values = dict(zip(columns, fields))
    label = values[task.label_name] if labelled else None
    if label is not None and not task.is_label(label):
        return label_problem(label, values, task)
    texts = [values[task.first_sequence]]
    if task.second_sequence:
        texts.append(values[task.second_sequence])
    return Row(values[task.id_column], tuple(texts), label)


def check_rows(
    tally: CsvTally,
    on_bad_row: str | None = None,
    rejects_path: str | os.PathLike[str] | None = None,
    max_bad_share: float = MAX_BAD_SHARE,
) -> None:
    """Handles the bad rows of a file that was read to its end: raises one error for all of them, or skips them.

    Args:
        tally: the file.
        on_bad_row: ``error`` or ``skip``; None is an error too, for callers that cannot skip rows.
        rejects_path: with ``skip``, the file for the bad lines: line number, reason and the unchanged line, tab separated.
            None writes no file.
        max_bad_share: with ``skip``, the largest share of bad rows; one bad row is always allowed, if there is a good one.

    Raises:
        UserError: there are bad rows that are not skipped or are too many; nothing is written then.
    """
    bad, good = len(tally.bad_rows), tally.good_rows
    if not bad:
        return
    few = good > 0 and bad <= max(1, max_bad_share * (bad + good))
    if on_bad_row == "skip" and few:
        if rejects_path is not None:
            _write_rejects(tally, rejects_path)
        return
    advice = "Correct the file."
    if on_bad_row == "error" and few:
        advice = "Correct the file, or pass --on_bad_row=skip to leave these rows out."
    elif on_bad_row == "skip":
        share = f"--max_bad_share={max_bad_share:g}"
        advice = f"These are more than {share} lets skip, so nothing was written. Correct the file, or give a larger share."
    sentences = "\n".join(f"  {sentence}" for sentence in tally.bad_rows.sentences())
    raise UserError(f"{tally.path}: {bad:,} bad rows, {good:,} good ones:\n{sentences}\n{advice}")


def require_rows(tally: CsvTally) -> None:
    """Raises UserError if a file that was read to its end has no good row."""
    if not tally.good_rows:
        size = tally.path.stat().st_size
        what = "is empty" if not tally.bytes_read else "has no row"
        raise UserError(f"{tally.task.name}: {tally.path} {what} ({size:,} bytes); get the file again.")


def _write_rejects(tally: CsvTally, path: str | os.PathLike[str]) -> None:
    """Reads the file again, since its bad lines were not kept, and copies them."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        for number, line, parsed in _parsed_lines(tally):
            if isinstance(parsed, Problem):
                content = line.removeprefix(BOM) if number == 1 else line
                stream.write(f"{number}\t{parsed.sentence}\t".encode() + content.removesuffix(b"\n") + b"\n")
