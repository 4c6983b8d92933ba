"""What a CSV reader that heeds quotes makes of a file, and whether such a program has already written it.

The contest's files know no quoting: a quote is a character. To a CSV reader a field that begins with a quote ends at the
next one, over tabs and line ends, so that several rows become one.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.data.encodings import UTF_8, byte_lines, codec

QUOTE = b'"'


@dataclass
class Quoting:
    """How a CSV reader sees a file.

    Attributes:
        records: records that it reads.
        merged: lines that it loses by merging them with the one before.
        first_merged: line on which the first record of several lines begins, or None.
        written: records with quotes that stand exactly as a CSV writer writes them.
        first_written: line of the first of these, or None.
        swallowing: those of ``written`` with a tab or a line end inside a field.
        first_swallowing: line of the first of these, or None.
        plain: records with quotes that no CSV writer would write so.
        endless: line with a quote that is closed nowhere, or so late that a CSV reader gives up, or None.
    """

    records: int = 0
    merged: int = 0
    first_merged: int | None = None
    written: int = 0
    first_written: int | None = None
    swallowing: int = 0
    first_swallowing: int | None = None
    plain: int = 0
    endless: int | None = None

    @property
    def is_rewritten(self) -> bool:
        """Whether the file was written by a program that quotes (pandas, Excel), judged by most records with quotes."""
        return self.written > self.plain


class _Lines:
    """Iterates over a file's lines as text, and remembers those of the current record."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for _, line in byte_lines(self._path, self._encoding):
            text = line.decode(codec(self._encoding), errors="replace").replace("\0", "\ufffd")
            self.taken.append(text)
            yield text


def read_quoting(path: Path, encoding: str = UTF_8) -> Quoting:
    """Reads a file as a CSV reader with tabs and its usual quoting does; ``encoding`` is the result of ``encoding_of``."""
    found, lines, number = Quoting(), _Lines(path, encoding), 1
    reader = csv.reader(lines, delimiter="\t")
    while True:
        try:
            record = next(reader, None)
        except csv.Error:  # a field of more than csv.field_size_limit() characters
            found.endless = number
            return found
        if record is None:
            return found
        raw, height = "".join(lines.taken), len(lines.taken)
        lines.taken.clear()
        found.records += 1
        if '"' in raw:
            _count(found, record, raw, number, height)
        number += height


def _count(found: Quoting, record: list[str], raw: str, line: int, height: int) -> None:
    raw = raw.removesuffix("\n").removesuffix("\r")
    if height > 1:
        found.merged += height - 1
        found.first_merged = found.first_merged or line
    if raw not in (_written(record, always=False), _written(record, always=True)):
        found.plain += 1
        return
    found.written += 1
    found.first_written = found.first_written or line
    if any("\n" in field or "\t" in field for field in record):
        found.swallowing += 1
        found.first_swallowing = found.first_swallowing or line


def _written(record: list[str], always: bool) -> str:
    """Returns a record as a CSV writer writes it, with quotes around the fields that need them or around all."""
    quoted = ('"' + field.replace('"', '""') + '"' for field in record)
    return "\t".join(
        each if always or any(sign in field for sign in '"\t\r\n') else field for field, each in zip(record, quoted)
    )
