"""The pieces of text that set the rows of a label apart from all others."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import chi2

MOST_WORDS = 12
MOST_CHARACTERS = 1_000_000
"""Characters that are looked at; of more texts, evenly spread ones are taken."""
LONGEST_TEXT = 512
PIECE = (2, 4)
"""Length of a piece in characters."""
FEWEST_ROWS = 3
"""Rows in which a piece must occur."""
SAME = 0.7
"""Share of rows in common from which on two pieces with a common character are taken for parts of one word."""
_WORD = re.compile(r"(?!\d+$)\w+")


@dataclass(frozen=True)
class Word:
    """A piece of text that is characteristic for a label.

    Attributes:
        word: the piece, in lower case.
        share: share of the label's rows that have it.
        share_elsewhere: share of the other rows that have it.
    """

    word: str
    share: float
    share_elsewhere: float


def characteristic_words(texts: Sequence[str], members: np.ndarray) -> list[list[Word]]:
    """Finds the pieces of 2 to 4 characters with the largest chi-squared statistic of "has the label" by "has the piece".

    Args:
        texts: one text a row, N in all; the two texts of a pair stand on lines of their own.
        members: bool [N, C], which of C labels each row has.

    Returns:
        For each of the C labels at most ``MOST_WORDS`` pieces that are more frequent with the label than without it, the
        most characteristic first.
    """
    nothing: list[list[Word]] = [[] for _ in range(members.shape[1])]
    step = 1 + sum(min(len(text), LONGEST_TEXT) for text in texts) // MOST_CHARACTERS
    texts, members = [text[:LONGEST_TEXT] for text in texts[::step]], members[::step]
    counter = CountVectorizer(analyzer="char", ngram_range=PIECE, min_df=FEWEST_ROWS, binary=True, dtype=np.int32)
    if len(texts) < FEWEST_ROWS:
        return nothing
    try:
        has_piece = counter.fit_transform(texts)
    except ValueError:  # no piece occurs in enough rows
        return nothing
    pieces = counter.get_feature_names_out()
    kept = np.array([place for place, piece in enumerate(pieces) if _WORD.fullmatch(piece)], np.int64)
    if not len(kept):
        return nothing
    pieces, has_piece = pieces[kept], has_piece[:, kept].tocsc()
    rows_with = np.asarray(has_piece.sum(axis=0)).ravel()
    found = nothing
    for label, inside in enumerate(members.T):
        if not inside.any() or inside.all():
            continue
        rows_inside = np.asarray(has_piece[inside].sum(axis=0)).ravel()
        share, elsewhere = rows_inside / inside.sum(), (rows_with - rows_inside) / (~inside).sum()
        scores = np.where(share > elsewhere, chi2(has_piece, inside)[0], 0)
        ranked = (int(place) for place in np.argsort(-scores, kind="stable") if scores[place] > 0)
        apart = _apart(ranked, pieces, lambda place: has_piece[:, [place]].indices, len(texts))
        found[label] = [Word(str(pieces[place]), float(share[place]), float(elsewhere[place])) for place in apart]
    return found


def _apart(ranked: Iterator[int], pieces: np.ndarray, rows_of: Callable[[int], np.ndarray], rows: int) -> list[int]:
    """Returns the first places whose pieces say different things.

    A part of an earlier piece, or one that shares a character with it and ``SAME`` of its rows, is of the same word. If it
    contains the earlier one and is nearly as frequent, it takes its place.
    """
    order: list[int] = []
    chosen: dict[int, np.ndarray] = {}
    for place in ranked:
        piece = pieces[place]
        if any(piece in pieces[other] for other in chosen):
            continue
        own = rows_of(place)
        same = [other for other, has in chosen.items() if set(piece) & set(pieces[other]) and has[own].mean() >= SAME]
        longer = [other for other in same if pieces[other] in piece and len(own) >= SAME * chosen[other].sum()]
        if same and not longer:
            continue
        if not same and len(chosen) == MOST_WORDS:
            break
        order.insert(min(map(order.index, longer), default=len(order)), place)
        for other in longer:
            del chosen[other]
        chosen[place] = np.zeros(rows, bool)
        chosen[place][own] = True
    return sorted(chosen, key=order.index)
