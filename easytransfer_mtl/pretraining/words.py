"""Which tokens of a text are one word: a Chinese segmenter's words, brought to WordPiece tokens."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple

from easytransfer_mtl.data.tokenization import CHUNK, Tokenizer
from easytransfer_mtl.errors import UserError

SPECIAL, START, INSIDE = 0, 1, 2
"""What a token is: none of a text's, a word's first, or a later one."""

Segmenter = Callable[[str], Iterable[str]]
"""A text to its words, which joined are the text again."""


class EncodedText(NamedTuple):
    """A text's token ids and, for each, ``START`` or ``INSIDE``."""

    ids: list[int]
    parts: list[int]

    def cut(self, start: int, stop: int) -> "EncodedText":
        """Returns the tokens from ``start`` to before ``stop``; the first of them starts a word."""
        parts = self.parts[start:stop]
        return EncodedText(self.ids[start:stop], [START, *parts[1:]] if parts else parts)


class WordTokenizer:
    """Texts to tokens that know where words start.

    A word is one of the segmenter's where Chinese characters are in it, else what the tokenizer takes for one (a run of
    letters or digits, a punctuation mark), with all its ``##`` pieces. Without a segmenter every token is a word.
    """

    def __init__(self, tokenizer: Tokenizer, segment: Segmenter | None) -> None:
        """Takes the tokenizer and a segmenter or None."""
        self.tokenizer = tokenizer
        self._segment = segment
        self._continues = [token.startswith("##") and len(token) > 2 for token in tokenizer.vocabulary.tokens]

    def encode(self, text: str) -> EncodedText:
        """Returns the same ids as ``Tokenizer.ids``, and their parts."""
        if self._segment is None:
            ids = self.tokenizer.ids(text)
            return EncodedText(ids, [START] * len(ids))
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
    """Returns jieba's segmentation, which prints nothing and leaves no file behind.

    Raises:
        UserError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in its sources, and the pkg_resources that it imports
            import jieba
    except ImportError:
        raise UserError(
            "masking wwm and ngram need the Chinese segmenter jieba, which is not installed. Install it with:\n"
            "  pip install 'easytransfer_mtl[pretrain]'\nor use --masking=token."
        ) from None
    jieba.setLogLevel(logging.WARNING)
    segmenter = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        # Else it would load its dictionary from a file in the folder of temporary files that anyone may have put there,
        # or leave one there.
        segmenter.tmp_dir = folder
        segmenter.initialize()
    return segmenter.lcut
