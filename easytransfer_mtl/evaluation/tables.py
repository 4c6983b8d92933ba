"""Tables as aligned text and as CSV."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Returns the rows as lines, the first column left-aligned, the others right-aligned."""
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *rest in table:
        cells = [first + " " * (widths[0] - _width(first))]
        cells += [" " * (width - _width(cell)) + cell for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def csv_text(table: Iterable[Iterable[Any]]) -> str:
    """Returns the rows as CSV with LF line endings."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    return stream.getvalue()


def digits(value: float) -> str:
    """Returns a score with four decimals."""
    return f"{value:.4f}"


def _width(text: str) -> int:
    # A Chinese character is two columns wide in a terminal.
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
