"""Reads a task's data files row by row, in all formats, and reports what is wrong with them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.config.sections import MAX_BAD_SHARE
from easytransfer_mtl.data.bad_rows import BadRows, Problem
from easytransfer_mtl.data.contest_rows import columns_of, contest_rows
from easytransfer_mtl.data.named_columns import Wanted
from easytransfer_mtl.data.named_rows import header_rows, json_rows, text_rows
from easytransfer_mtl.data.rows import ReadLine, Row
from easytransfer_mtl.data.table_form import ANY, BY_TASK, CONTEST, JSONL, TEXT, TableForm, form_of
from easytransfer_mtl.data.wrong_files import check_is_text, table_problem
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing
from easytransfer_mtl.tasks import Task


@dataclass
class TableTally:
    """A data file, the format of its rows, and what was found in it so far.

    Attributes:
        path: the file.
        task: defines columns and labels.
        labelled: whether the rows have the label column.
        header: whether the first line of a file in the contest's format is a header, which is skipped.
        form: the file's format, one of ``TEXT_FORMATS``; ``BY_TASK`` and ``ANY`` as in ``form_of``.
        line: number of the line that was read last, from 1; of a row on several lines the first.
        bytes_read: bytes of the file that were read.
        good_rows: number of good rows.
        bad_rows: the bad rows by cause.
        empty_texts: number of good rows with an empty text.
    """

    path: Path
    task: Task
    labelled: bool
    header: bool = False
    form: str = BY_TASK
    line: int = 0
    bytes_read: int = 0
    good_rows: int = 0
    bad_rows: BadRows = field(default_factory=BadRows)
    empty_texts: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row in the contest's format, with the label column if ``labelled``."""
        return columns_of(self.task, self.labelled)

    @property
    def wanted(self) -> Wanted:
        """The columns that a table with names for them must have."""
        exact = not self.task.columns and self.form != ANY
        return Wanted(self.task, self.labelled, exact)

    def table_form(self) -> TableForm:
        """Looks at the file, which must exist, and returns how it is read."""
        return form_of(self.path, self.wanted, self.form, self.header)


@dataclass
class TableContent(TableTally):
    """A ``TableTally`` of a whole file, with its good rows."""

    rows: list[Row] = field(default_factory=list)


def split_lines(content: bytes) -> list[bytes]:
    """Splits at LF only and keeps every other byte; the part after the last LF is a line unless it is empty or only CRs."""
    lines = content.split(b"\n")
    return lines if lines[-1].strip(b"\r") else lines[:-1]


def read_table(path: str | os.PathLike[str], task: Task, labelled: bool, header: bool = False) -> TableContent:
    """Reads all rows of a file into memory; arguments as in ``TableTally``, errors as in ``stream_rows``.

    Returns:
        The good rows, and the problems of the bad ones, which ``check_rows`` handles.
    """
    content = TableContent(Path(path), task, labelled, header)
    content.rows.extend(stream_rows(content))
    return content


def stream_rows(tally: TableTally) -> Iterator[Row]:
    """Yields the good rows of a file one by one and updates the counts.

    Raises:
        UserError: the file does not exist or is wrong as a whole: another format or encoding, no line ends, or without a
            column of the task's, where a header or JSON names them.
    """
    return _counted(tally, read_lines(tally))


def read_lines(tally: TableTally) -> Iterator[ReadLine]:
    """Yields every line of a file, or record of several lines; raises what ``stream_rows`` raises."""
    path, task = tally.path, tally.task
    if not path.is_file():
        raise UserError(f"{task.name}: {path} is not a file.")
    form = tally.table_form()
    if form.format == CONTEST:
        check_is_text(path, len(tally.columns), form.encoding)
        return contest_rows(path, task, tally.labelled, tally.header, form.encoding)
    if found := table_problem(path, form.encoding):
        raise UserError(f"{path} is {found[0]}, not UTF-8 text; {found[1]}.")
    if not path.stat().st_size:
        return iter(())
    if form.format == TEXT:
        return text_rows(path, form, task)
    return json_rows(path, form, tally.wanted) if form.format == JSONL else header_rows(path, form, tally.wanted)


def _counted(tally: TableTally, lines: Iterator[ReadLine]) -> Iterator[Row]:
    for number, content, parsed in lines:
        tally.line, tally.bytes_read = number, tally.bytes_read + len(content)
        if isinstance(parsed, Problem):
            tally.bad_rows.add(tally.path, number, len(content), parsed)
        elif parsed is not None:
            tally.good_rows += 1
            tally.empty_texts += "" in parsed.texts
            yield parsed


def check_rows(
    tally: TableTally,
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


def require_rows(tally: TableTally) -> None:
    """Raises UserError if a file that was read to its end has no good row."""
    if not tally.good_rows:
        size = tally.path.stat().st_size
        what = "is empty" if not tally.bytes_read else "has no row"
        raise UserError(f"{tally.task.name}: {tally.path} {what} ({size:,} bytes); get the file again.")


def _write_rejects(tally: TableTally, path: str | os.PathLike[str]) -> None:
    """Reads the file again, since its bad lines were not kept, and copies them."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        for number, content, parsed in read_lines(tally):
            if isinstance(parsed, Problem):
                stream.write(f"{number}\t{parsed.sentence}\t".encode() + content.removesuffix(b"\n") + b"\n")
