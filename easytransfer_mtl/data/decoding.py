"""Texts from token ids, as far as ids still tell them: lower case, without what was truncated, [UNK] for unknown words."""

import itertools
from collections.abc import Sequence

import numpy as np

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.data.tokenization import CJK_CHARACTER, Vocabulary


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
