"""Marks which WordPiece tokens of a text form a word, using a Chinese segmenter."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple

from easytransfer_mtl.data.tokenization import CHUNK, Tokenizer
from easytransfer_mtl.errors import UserError

SPECIAL, START, INSIDE = 0, 1, 2
"""Position of a token: special token, first token of a word, or later token of a word."""

Segmenter = Callable[[str], Iterable[str]]
"""Splits a text into words, which joined give the text again."""


class EncodedText(NamedTuple):
    """A text's token ids, and ``START`` or ``INSIDE`` for each."""

    ids: list[int]
    parts: list[int]

    def cut(self, start: int, stop: int) -> "EncodedText":
        """Returns the tokens from ``start`` to before ``stop``; the first one starts a word."""
        parts = self.parts[start:stop]
        return EncodedText(self.ids[start:stop], [START, *parts[1:]] if parts else parts)


class WordTokenizer:
    """Tokenizes texts and marks the starts of words.

    Words with Chinese characters are the segmenter's. Other words are the tokenizer's (a run of letters or digits, a
    punctuation mark), with all their ``##`` pieces. Without a segmenter every token is a word.
    """

    def __init__(self, tokenizer: Tokenizer, segment: Segmenter | None) -> None:
        self.tokenizer = tokenizer
        self._segment = segment
        self._continues = [token.startswith("##") and len(token) > 2 for token in tokenizer.vocabulary.tokens]

    def encode(self, text: str) -> EncodedText:
        """Returns the ids of ``Tokenizer.ids`` with their parts."""
        if self._segment is None:
            known = self.tokenizer.ids(text)
            return EncodedText(known, [START] * len(known))
        text = self.tokenizer.normalized(text)
        starts = {0, *accumulate(len(word) for word in self._segment(text))}
        ids: list[int] = []
        parts: list[int] = []
        end = -1
        for chunk in CHUNK.finditer(text):
            pieces = self.tokenizer.chunk_ids(chunk.group())
            if not pieces:
                continue
            goes_on = chunk.start() == end and chunk.start() not in starts
            parts.append(INSIDE if goes_on else START)
            parts += [INSIDE if self._continues[piece] else START for piece in pieces[1:]]
            ids += pieces
            end = chunk.end()
        return EncodedText(ids, parts)


def chinese_segmenter() -> Segmenter:
    """Returns jieba's segmenter, set up so that it prints nothing and leaves no file behind.

    Raises:
        UserError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in its sources, and about pkg_resources, which it imports
            import jieba
    except ImportError:
        raise UserError(
            "masking wwm and ngram need the Chinese segmenter jieba, which is not installed. Install it with:\n"
            "  pip install 'easytransfer_mtl[pretrain]'\nor use --masking=token."
        ) from None
    jieba.setLogLevel(logging.WARNING)
    segmenter = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        # Otherwise jieba would load its dictionary from a file in the shared temporary folder, which anyone may have put
        # there, or leave such a file behind.
        segmenter.tmp_dir = folder
        segmenter.initialize()
    return segmenter.lcut
