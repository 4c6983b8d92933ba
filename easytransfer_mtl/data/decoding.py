"""Texts from token ids, as far as ids still tell them: lower case, without what was truncated, [UNK] for unknown words."""

import itertools
from collections.abc import Sequence

import numpy as np

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.data.tag_units import NO_TAG
from easytransfer_mtl.data.tokenization import CJK_CHARACTER, Vocabulary
from easytransfer_mtl.tasks import CHARACTER

UNTOLD = "\ufffd"
"""Stands for a unit whose tokens do not tell what it is."""


def decode_rows(rows: EncodedRows, vocabulary: AnyVocabulary, is_pair: bool) -> list[tuple[str, ...]]:
    """Returns each row's one or two texts without the tokens that frame them.

    The second text of a pair is what has segment id 1; it is empty in files that do not mark it.

    Args:
        rows: N rows.
        vocabulary: what their ids stand for.
        is_pair: whether a row has two texts.
    """
    framing = np.isin(rows.input_ids, vocabulary.frame_ids)
    parts = [rows.segment_ids == 0, rows.segment_ids != 0] if is_pair else [np.ones(len(framing), bool)]
    texts = []
    for part in parts:
        kept = part & ~framing
        ids = [
            rows.input_ids[start:end][kept[start:end]].tolist() for start, end in itertools.pairwise(rows.offsets.tolist())
        ]
        texts.append(_decoded(ids, vocabulary))
    return list(zip(*texts, strict=True))


def decode_units(rows: EncodedRows, vocabulary: AnyVocabulary, unit: str) -> list[tuple[str]]:
    """Returns each row's text with exactly one character, or word, for each of its tags.

    A character that its tokens do not tell is ``\ufffd``, and so is a word.

    Args:
        rows: N rows with tags.
        vocabulary: what their ids stand for.
        unit: one of ``UNITS``.
    """
    assert rows.tag_ids is not None
    starts, framing = rows.tag_ids != NO_TAG, np.isin(rows.input_ids, vocabulary.frame_ids)
    found: list[tuple[str]] = []
    for start, end in itertools.pairwise(rows.offsets.tolist()):
        numbers, kept = np.cumsum(starts[start:end]), ~framing[start:end]
        ids = rows.input_ids[start:end]
        groups = [ids[kept & (numbers == number)].tolist() for number in range(1, int(numbers.max(initial=0)) + 1)]
        texts = ("".join(text.split()) for text in _decoded(groups, vocabulary))
        if unit == CHARACTER:
            found.append(("".join(text if len(text) == 1 else UNTOLD for text in texts),))
        else:
            found.append((" ".join(text or UNTOLD for text in texts),))
    return found


def _decoded(ids: list[list[int]], vocabulary: AnyVocabulary) -> list[str]:
    if isinstance(vocabulary, PublishedVocabulary):
        return vocabulary.library_tokenizer.decode_batch(ids, skip_special_tokens=False)
    return [_joined(row, vocabulary) for row in ids]


def _joined(ids: Sequence[int], vocabulary: Vocabulary) -> str:
    """Joins word pieces; a space stands only where two words of letters or digits would run together."""
    text = ""
    for index in ids:
        token = vocabulary.tokens[index]
        if token.startswith("##") and text:
            text += token[2:]
        else:
            text += f" {token}" if text and _is_of_a_word(text[-1]) and _is_of_a_word(token[0]) else token
    return text


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() and not CJK_CHARACTER.match(character)
