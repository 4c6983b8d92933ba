"""A row of a data file, whatever the file's format."""

from dataclasses import dataclass
from typing import NamedTuple

from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.errors import UserError, shown

Label = str | tuple[str, ...]
"""One label, or those of a row with several."""


@dataclass(frozen=True)
class Row:
    """One row of a data file: the unchanged id (its number from 0 without ids), one or two texts, the label(s) or None."""

    row_id: str
    texts: tuple[str, ...]
    label: Label | None

    @property
    def one_label(self) -> str:
        """The label of a row that has exactly one."""
        if not isinstance(self.label, str):
            raise UserError(f"row {shown(self.row_id)} has the labels {shown(self.label)}, where one label is wanted.")
        return self.label


class ReadLine(NamedTuple):
    """A line that was read: its number from 1, its bytes, and its row, its problem, or None for a line that has no row.

    A row of a CSV file may stand on several lines; the number is that of the first.
    """

    number: int
    content: bytes
    parsed: Row | Problem | None
