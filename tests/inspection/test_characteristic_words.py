"""Which pieces of text are characteristic for a label."""

import numpy as np
import pytest

from easytransfer_mtl.inspection import characteristic_words as module
from easytransfer_mtl.inspection.characteristic_words import characteristic_words


def words(*rows: tuple[str, int], labels: int = 2) -> list[list[str]]:
    texts, ids = zip(*rows)
    return [
        [word.word for word in found]
        for found in characteristic_words(texts, np.array(ids)[:, np.newaxis] == np.arange(labels))
    ]


def around(piece: str, label: int, rows: int = 5) -> list[tuple[str, int]]:
    """Returns rows that have nothing in common but the piece."""
    return [
        (f"{chr(0x5000 + 40 * label + 2 * row)}{piece}{chr(0x5001 + 40 * label + 2 * row)}", label) for row in range(rows)
    ]


def test_a_word_is_named_once_and_whole() -> None:
    assert words(*around("幸福快乐", 0), *around("难过", 1)) == [["幸福快乐"], ["难过"]]


def test_a_word_of_both_labels_is_characteristic_for_none() -> None:
    assert words(*around("今天", 0), *around("今天", 1), *around("难过", 1)) == [["今天"], ["难过"]]
    assert words(*around("今天", 0), *around("今天", 1)) == [[], []]


def test_rare_pieces_numbers_and_punctuation_are_left_out() -> None:
    rows = [*around("2018", 0), *around("！！", 0), *around("难过", 1), *around("很少", 0, rows=2)]
    assert words(*rows) == [[], ["难过"]]


def test_labels_without_rows_or_with_all_of_them_have_no_words() -> None:
    assert words(*around("难过", 1), labels=3) == [[], [], []]
    assert words(("难过", 0), ("！", 1)) == [[], []]
    assert words(*around("！", 0), *around("？", 1)) == [[], []]


def test_of_many_texts_evenly_spread_ones_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("难过", 1), ("快乐", 0)] * 5
    assert words(*rows) == [["快乐"], ["难过"]]
    monkeypatch.setattr(module, "MOST_CHARACTERS", 12)  # every second text, which are all of one label
    assert words(*rows) == [[], []]
