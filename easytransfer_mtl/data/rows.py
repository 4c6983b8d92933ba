"""A row of a data file, whatever the file's format."""

from dataclasses import dataclass
from typing import NamedTuple

from easytransfer_mtl.data.bad_rows import Problem


@dataclass(frozen=True)
class Row:
    """One row of a data file.

    Attributes:
        row_id: the unchanged id, or the row's number from 0 in a file without ids.
        texts: one or two.
        label: the text of its label; several labels joined by ``LABEL_SEPARATOR``, tags by spaces; None without
            labels.
    """

    row_id: str
    texts: tuple[str, ...]
    label: str | None


class ReadLine(NamedTuple):
    """A line that was read: its number from 1, its bytes, and its row, its problem, or None for a line that has no row.

    A row of a CSV file may stand on several lines; the number is that of the first.
    """

    number: int
    content: bytes
    parsed: Row | Problem | None
