"""Tells a data file's format, separator and encoding: as its task says, or by its ending and first lines."""

import csv
import functools
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from easytransfer_mtl.config.sections import TEXT_FORMATS
from easytransfer_mtl.data.csv_quoting import QUOTE, read_quoting
from easytransfer_mtl.data.encodings import BOM, UTF_8, byte_lines, encoding_of
from easytransfer_mtl.data.named_columns import Wanted, find_columns
from easytransfer_mtl.data.official_counts import is_contest_task
from easytransfer_mtl.data.wrong_files import head_as_utf_8
from easytransfer_mtl.errors import UserError

CONTEST, CSV, TSV, JSONL, TEXT = TEXT_FORMATS
BY_TASK, ANY = "by task", "auto"
"""A file of the task's own, whose task may list its columns; any file, as people have them."""
JSON_ENDINGS, TABLE_ENDINGS = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv")
SEPARATORS = ",\t;"


class TableForm(NamedTuple):
    """How a file is read.

    Attributes:
        format: one of ``TEXT_FORMATS``.
        encoding: the file's.
        separator: between the columns of csv and tsv.
        guessed: whether the whole file was looked at to tell csv from tsv; a part of it may look otherwise.
    """

    format: str
    encoding: str = UTF_8
    separator: str = "\t"
    guessed: bool = False


def form_of(path: Path, wanted: Wanted, said: str = BY_TASK, header: bool = False) -> TableForm:
    """Returns how a file is read.

    A file of a task that lists its columns is tab separated without a header, unless its ending is one of JSON lines or its
    first line names the task's columns with commas or semicolons between them. All other tasks' files name their columns: by
    a header, or as JSON lines. Of files ``as people have them`` the first line decides too whether there is a header at all,
    and lines without columns are texts.

    Args:
        path: an existing file.
        wanted: the columns that are looked for.
        said: ``BY_TASK``, ``ANY``, or the format itself.
        header: whether the first line is known to be a header.
    """
    task = wanted.task
    chosen = task.format if said == BY_TASK else said
    encoding = encoding_of(path, task.encoding)
    first = _first_line(path, encoding.name)
    found = chosen if chosen != ANY else _seen(path, first, wanted, said, header)
    if found == CONTEST and not task.columns:
        raise UserError(f"{path}: {task.name} does not list its columns, so a file without a header cannot be read.")
    if found == CONTEST and is_contest_task(task) and task.encoding == ANY:
        return TableForm(CONTEST)  # as strictly as ever: the contest's files are UTF-8
    if encoding.why:
        _log_once(f"{path} is read as {encoding.name.upper()}: {encoding.why}")
    if found not in (CSV, TSV):
        return TableForm(found, encoding.name)
    separator = "\t" if found == TSV else separator_of(first, wanted)
    if chosen != ANY or separator != "\t":
        return TableForm(found, encoding.name, separator)
    if task.format in (CSV, TSV):
        return TableForm(task.format, encoding.name)
    is_quoted = find_columns(first.split("\t"), wanted) is None or _is_quoted(path, encoding.name)
    return TableForm(CSV if is_quoted else TSV, encoding.name, guessed=True)


def _first_line(path: Path, encoding: str) -> str:
    line = head_as_utf_8(path, encoding).removeprefix(BOM).partition(b"\n")[0]
    return line.rstrip(b"\r").decode(UTF_8, "replace")


def _seen(path: Path, first: str, wanted: Wanted, said: str, header: bool) -> str:
    ending, task = path.suffix.lower(), wanted.task
    is_json = ending in JSON_ENDINGS[:2] or first.lstrip().startswith("{")
    if said == BY_TASK and task.columns:
        if ending in JSON_ENDINGS:
            return JSONL
        separator = separator_of(first, wanted)
        return CSV if separator in ",;" and find_columns(names_in(first, separator), wanted) else CONTEST
    if said == BY_TASK:
        return JSONL if is_json or ending in JSON_ENDINGS else CSV
    if is_json:
        return JSONL
    without_header = CONTEST if task.columns else CSV  # whose reader says which columns are missing
    if header:
        return without_header
    if ending == ".txt":
        return TEXT
    if find_columns(names_in(first, separator_of(first, wanted)), wanted):
        return CSV
    return without_header if "\t" in first or ending in TABLE_ENDINGS else TEXT


def separator_of(first: str, wanted: Wanted) -> str:
    """Returns what separates the columns of a header: what makes the wanted columns of it, else what it has most of."""
    for separator in SEPARATORS:
        if find_columns(names_in(first, separator), wanted):
            if separator in first or not any(mark in first for mark in SEPARATORS):
                return separator
    return max(SEPARATORS, key=first.count)


def names_in(first: str, separator: str) -> Sequence[str]:
    """Returns the columns that a header names."""
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(first), delimiter=separator), [])]
    except csv.Error:
        return ()


def _is_quoted(path: Path, encoding: str) -> bool:
    """Returns whether quotes around a tab separated table's fields are no part of them, judged by the whole file.

    A program that writes quotes writes them around those fields that need them, or around all. Quotes that stand otherwise
    are characters of the texts.
    """
    if not any(QUOTE in line for _, line in byte_lines(path, encoding)):
        return False
    quoting = read_quoting(path, encoding)
    found = quoting.is_rewritten and not quoting.endless
    how = "those of a CSV file, around fields" if found else "part of the texts"
    _log_once(f'{path}: its quotes are read as {how} ("format" in its task can say "csv" or "tsv")')
    return found


@functools.lru_cache(maxsize=256)  # one command reads a file several times
def _log_once(message: str) -> None:
    logging.info("%s", message)
