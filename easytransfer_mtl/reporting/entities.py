"""True and predicted entities of rows with tags: which are right, and what is wrong with the others."""

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.data.tag_units import NO_TAG, tag_spans, unit_spans
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.tasks import CHARACTER

RIGHT, BOUNDARY, KIND, BOTH, MISSED, INVENTED = VERDICTS = (
    "right", "wrong boundary", "wrong kind", "wrong kind and boundary", "missed", "invented",
)  # fmt: skip


@dataclass(frozen=True)
class Span:
    """An entity: its kind, and the numbers of its first unit and of the one behind its last, among a row's tags."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Match:
    """A true and a predicted entity that overlap, or one of them that no other overlaps; one of ``VERDICTS`` on them."""

    truth: Span | None
    predicted: Span | None
    verdict: str


@dataclass(frozen=True)
class RowEntities:
    """A row's entities in their order, as seqeval finds them in its default mode."""

    truth: list[Span]
    predicted: list[Span]

    def matches(self) -> list[Match]:
        """Returns every entity once.

        Equal entities are matched first, then those with the most units in common, each with one other at most. One
        that is left without another is missed or invented.
        """
        equal = set(self.truth) & set(self.predicted)
        truth, predicted = ([span for span in part if span not in equal] for part in (self.truth, self.predicted))
        pairs = [(one, other) for one, other in itertools.product(truth, predicted) if _in_common(one, other) > 0]
        found, matched = [Match(span, span, RIGHT) for span in equal], set[Span]()
        for one, other in sorted(pairs, key=lambda pair: (_in_common(*pair), pair[0].kind == pair[1].kind), reverse=True):
            if not {one, other} & matched:
                matched |= {one, other}
                found.append(Match(one, other, _verdict(one, other)))
        found += [Match(one, None, MISSED) for one in truth if one not in matched]
        found += [Match(None, other, INVENTED) for other in predicted if other not in matched]
        return sorted(found, key=lambda match: (match.truth or match.predicted or Span("", 0, 0)).start)


def entities_of_rows(rows: TaskRows) -> list[RowEntities]:
    """Returns the true and predicted entities of each row of a task of the type ``tags``."""
    names = rows.task.label_enumerate_values
    found = []
    for truth, predicted in zip(rows.truth, rows.predicted, strict=True):
        tagged = truth != NO_TAG
        found.append(RowEntities(*(_spans([names[tag] for tag in part[tagged]]) for part in (truth, predicted))))
    return found


def tagged_spans(text: str, unit: str, tags: int) -> list[tuple[int, int]] | None:
    """Returns where in a text, in characters, the units stand that a row's tags are of; None if it cannot be told.

    Rows of TFRecords have no tag of what has no token: white space, control characters and, where accents are
    stripped, combining marks; and none behind the cut.

    Args:
        text: the row's text.
        unit: one of ``UNITS``.
        tags: the number of the row's tags.
    """
    spans = unit_spans(text, unit)
    if unit != CHARACTER or len(spans) == tags:
        return spans[:tags] if len(spans) >= tags else None
    visible = [span for span in spans if not _has_no_token(text[span[0]])]
    if len(visible) == tags:
        return visible
    unmarked = [span for span in visible if unicodedata.category(text[span[0]]) != "Mn"]
    return unmarked[:tags] if len(unmarked) >= tags else None


def counts_of(entities: Sequence[RowEntities]) -> np.ndarray:
    """Returns the numbers of right, true and predicted entities of each row, int64 [N, 3]."""
    counts = [(len(set(row.truth) & set(row.predicted)), len(row.truth), len(row.predicted)) for row in entities]
    return np.array(counts, np.int64).reshape(-1, 3)


def _has_no_token(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


def _spans(tags: list[str]) -> list[Span]:
    return [Span(kind, first, last + 1) for kind, first, last in tag_spans(tags)]


def _in_common(one: Span, other: Span) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def _verdict(one: Span, other: Span) -> str:
    if one.kind == other.kind:
        return BOUNDARY
    return KIND if (one.start, one.end) == (other.start, other.end) else BOTH
