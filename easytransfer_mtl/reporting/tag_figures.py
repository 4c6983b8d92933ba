"""What is shown of a task with tags: entities, what is wrong with them, and where."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from easytransfer_mtl.data.tag_units import NO_TAG
from easytransfer_mtl.errors import clipped
from easytransfer_mtl.evaluation.metrics import LabelScore
from easytransfer_mtl.evaluation.row_table import TaskRows
from easytransfer_mtl.reporting.entities import (
    RIGHT,
    VERDICTS,
    Match,
    Span,
    entities_of_rows,
    tagged_spans,
)
from easytransfer_mtl.reporting.matrix import Label, Matrix, labels_of, matrix_of
from easytransfer_mtl.reporting.row_list import LONGEST_TEXT, ListedRow, Piece, RowList, TextLine, plain_texts, worst_places
from easytransfer_mtl.tasks import Task

NONE = "none"
MOST_WRONG = 15
LONGEST_ENTITY = 40
BEFORE_WRONG = 100
"""Characters before the first wrong entity of a long text that are shown."""


@dataclass(frozen=True)
class KindLine:
    """Numbers of a kind's entities by ``VERDICTS``: of the true ones, and of the predicted ones that are invented."""

    kind: str
    counts: list[int]


@dataclass(frozen=True)
class WrongEntity:
    """A wrong entity's text and kind in truth and prediction, ``none`` if there is none; what is wrong; in how many rows."""

    truth: str
    predicted: str
    verdict: str
    rows: int


@dataclass(frozen=True)
class TagFigures:
    """Scores of the kinds of entities, what became of them, true kinds by predicted ones, wrong entities, scores of tags."""

    kinds: list[Label]
    verdicts: list[KindLine]
    matrix: Matrix
    wrong: list[WrongEntity]
    tags: list[Label]
    worst: RowList


def tag_figures(rows: TaskRows, score: LabelScore) -> TagFigures:
    """Returns the figures of a task of the type ``tags``."""
    matches = [row.matches() for row in entities_of_rows(rows)]
    every = [match for row in matches for match in row]
    predicted = np.bincount(rows.predicted[rows.truth != NO_TAG], minlength=rows.task.num_labels)
    return TagFigures(
        kinds=_kinds(rows.task, every),
        verdicts=_verdicts(rows.task, every),
        matrix=_matrix(rows.task, every),
        wrong=_wrong(rows, matches),
        tags=labels_of(score, predicted),
        worst=_worst(rows, matches),
    )


def _kinds(task: Task, matches: Sequence[Match]) -> list[Label]:
    true, predicted = (Counter(span.kind for match in matches if (span := side(match))) for side in (_truth, _predicted))
    right = Counter(match.truth.kind for match in matches if match.truth and match.verdict == RIGHT)
    lines = []
    for kind in task.entity_kinds:
        hits, of_true, of_predicted = right[kind], true[kind], predicted[kind]
        each = (hits / max(1, of_predicted), hits / max(1, of_true), 2 * hits / max(1, of_true + of_predicted))
        lines.append(Label(kind, "", *each, of_true, of_predicted, bool(of_true + of_predicted)))
    return sorted(lines, key=lambda line: (not line.counted, line.f1))


def _truth(match: Match) -> Span | None:
    return match.truth


def _predicted(match: Match) -> Span | None:
    return match.predicted


def _verdicts(task: Task, matches: Sequence[Match]) -> list[KindLine]:
    counts = Counter((_kind(match.truth or match.predicted), match.verdict) for match in matches)
    lines = [KindLine(kind, [counts[kind, verdict] for verdict in VERDICTS]) for kind in task.entity_kinds]
    total = KindLine("all", [sum(line.counts[place] for line in lines) for place in range(len(VERDICTS))])
    return [line for line in lines if any(line.counts)] + [total]


def _matrix(task: Task, matches: Sequence[Match]) -> Matrix:
    kinds = [*task.entity_kinds, NONE]
    places, counts = {kind: place for place, kind in enumerate(kinds)}, np.zeros((len(kinds), len(kinds)), np.int64)
    for match in matches:
        counts[places[_kind(match.truth)], places[_kind(match.predicted)]] += 1
    return matrix_of([(kind, "") for kind in kinds], counts)


def _kind(span: Span | None) -> str:
    return span.kind if span else NONE


def _wrong(rows: TaskRows, matches: Sequence[list[Match]]) -> list[WrongEntity]:
    found = Counter[tuple[str, str, str]]()
    for place, row in enumerate(matches):
        places = _places(rows, place)
        name = partial(_named, rows.about.texts[place][0], places=places)
        wrong = [match for match in row if match.verdict != RIGHT]
        found.update({(name(match.truth), name(match.predicted), match.verdict) for match in wrong})
    return [WrongEntity(*about, count) for about, count in found.most_common(MOST_WRONG)]


def _named(text: str, span: Span | None, places: list[tuple[int, int]] | None) -> str:
    if span is None:
        return NONE
    part = text[places[span.start][0] : places[span.end - 1][1]] if places else "…"
    return f"{clipped(part, LONGEST_ENTITY)} ({span.kind})"


def _places(rows: TaskRows, place: int) -> list[tuple[int, int]] | None:
    return tagged_spans(rows.about.texts[place][0], rows.task.unit, int((rows.truth[place] != NO_TAG).sum()))


def _worst(rows: TaskRows, matches: Sequence[list[Match]]) -> RowList:
    kinds, loss = rows.task.entity_kinds, rows.loss
    wrong = [[match for match in row if match.verdict != RIGHT] for row in matches]
    found = []
    for place in worst_places(np.array([len(row) for row in wrong]), loss):
        counts = Counter(match.verdict for match in wrong[place])
        parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
        about = ", ".join([*parts, f"loss {loss[place]:.2f}"])
        spans = [span for match in wrong[place] for span in (match.truth, match.predicted) if span]
        groups = sorted({kinds.index(span.kind) for span in spans})
        numbers = [sum(side(match) is not None for match in matches[place]) for side in (_truth, _predicted)]
        truth, predicted = (f"{number} {'entity' if number == 1 else 'entities'}" for number in numbers)
        texts = _texts(rows, place, matches[place])
        found.append(ListedRow(rows.about.ids[place], groups, truth, predicted, not wrong[place], about, texts))
    return RowList.of("the most wrong entities", "kind", kinds, found)


def _texts(rows: TaskRows, place: int, matches: list[Match]) -> list[TextLine]:
    """Returns the text with its true entities, and with the predicted ones if they are others."""
    text, places = rows.about.texts[place][0], _places(rows, place)
    if places is None:
        return [*plain_texts(rows, place), TextLine([Piece("(its tags cannot be placed in this text)")])]
    wrong = [match for match in matches if match.verdict != RIGHT]
    first = min((places[span.start][0] for match in wrong for span in (match.truth, match.predicted) if span), default=0)
    start = max(0, first - BEFORE_WRONG) if len(text) > LONGEST_TEXT else 0
    sides = {"true": _truth, "predicted": _predicted} if wrong else {"": _truth}
    lines = []
    for caption, side in sides.items():
        spans = [(span, match.verdict == RIGHT) for match in matches if (span := side(match))]
        marks = [(places[span.start][0], places[span.end - 1][1], span.kind, right) for span, right in spans]
        lines.append(TextLine(_pieces(text, start, marks), caption))
    return lines


def _pieces(text: str, start: int, marks: list[tuple[int, int, str, bool]]) -> list[Piece]:
    """Returns the text from ``start`` on, at most ``LONGEST_TEXT`` characters, cut where (start, end, kind, right) are."""
    end, place = min(len(text), start + LONGEST_TEXT), start
    pieces = [Piece("...")] if start else []
    for left, right, kind, is_right in marks:
        left, right = max(left, place), min(right, end)
        if left < right:
            pieces += [Piece(text[place:left])] if place < left else []
            pieces.append(Piece(text[left:right], kind, is_right))
            place = right
    return [*pieces, Piece(text[place:end] + ("..." if end < len(text) else ""))]
