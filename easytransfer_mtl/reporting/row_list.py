"""The rows of a task that a reader should look at: the worst ones first, and what can be said of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.errors import clipped
from easytransfer_mtl.evaluation.row_table import TaskRows

WORST_ROWS = 50
LONGEST_TEXT = 600
LONGEST_LABEL = 300
"""In characters, of the labels of a row with several."""


@dataclass(frozen=True)
class Piece:
    """A part of a text: an entity with its kind, ``right`` or not, or what stands between entities."""

    text: str
    kind: str = ""
    right: bool = True


@dataclass(frozen=True)
class TextLine:
    """A text of a row, as pieces, with what is to be said before it."""

    pieces: list[Piece]
    caption: str = ""


@dataclass(frozen=True)
class ListedRow:
    """One row; ``groups`` are the numbers of the filters that show it, ``about`` what stands below the labels."""

    row_id: str
    groups: list[int]
    truth: str
    predicted: str
    right: bool
    about: str
    texts: list[TextLine]


@dataclass(frozen=True)
class RowList:
    """Rows and their filters.

    Attributes:
        title: what these rows are.
        group: what a filter is by.
        filters: number, name and number of rows of each group with rows.
        rows: the rows.
    """

    title: str
    group: str
    filters: list[tuple[int, str, int]]
    rows: list[ListedRow]

    @classmethod
    def of(cls, title: str, group: str, names: Sequence[str], rows: list[ListedRow]) -> "RowList":
        """Takes rows and the name of each group."""
        counts = Counter(place for row in rows for place in row.groups)
        filters = [(place, name, counts[place]) for place, name in enumerate(names) if counts[place]]
        return cls(f"The {len(rows)} rows with {title}", group, filters, rows)


def worst_places(*keys: np.ndarray) -> list[int]:
    """Returns the numbers of the ``WORST_ROWS`` rows with the highest keys, [N] each; the first key counts most."""
    return np.lexsort([-key for key in reversed(keys)])[:WORST_ROWS].tolist()


def plain_texts(rows: TaskRows, place: int) -> list[TextLine]:
    """Returns the texts of a row, cut to ``LONGEST_TEXT``."""
    return [TextLine([Piece(clipped(text, LONGEST_TEXT))]) for text in rows.about.texts[place]]


def label_list(labels: Iterable[str]) -> str:
    """Returns labels with commas between them, at most ``LONGEST_LABEL`` characters; ``∅`` if there is none."""
    return clipped(", ".join(labels), LONGEST_LABEL) or "∅"
