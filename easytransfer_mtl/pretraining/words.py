"""Marks which tokens of a text form a word, using a Chinese segmenter."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple, Protocol

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedTokenizer, PublishedVocabulary
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


class WordTokenizer(Protocol):
    """Tokenizes texts and marks the starts of words."""

    @property
    def vocabulary(self) -> AnyVocabulary:
        """The vocabulary of the ids."""

    def encode(self, text: str) -> EncodedText:
        """Returns the ids of a text, without special tokens, and their parts."""


class PieceTokenizer:
    """Tokenizes texts with EasyTransfer's WordPiece and marks the starts of words.

    Words with Chinese characters are the segmenter's. Other words are the tokenizer's (a run of letters or digits, a
    punctuation mark), with all their ``##`` pieces. Without a segmenter every token is a word.
    """

    def __init__(self, tokenizer: Tokenizer, segment: Segmenter | None) -> None:
        self.tokenizer, self.vocabulary = tokenizer, tokenizer.vocabulary
        self._segment = segment
        self._continues = [token.startswith("##") and len(token) > 2 for token in tokenizer.vocabulary.tokens]

    def encode(self, text: str) -> EncodedText:
        """Returns the ids of ``Tokenizer.ids`` with their parts."""
        if self._segment is None:
            known = self.tokenizer.ids(text)
            return EncodedText(known, [START] * len(known))
        text = self.tokenizer.normalized(text)
        starts = _word_starts(text, self._segment)
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


class PublishedWordTokenizer:
    """Tokenizes texts with a published tokenizer and marks the starts of words.

    All words are the segmenter's, for which a run of Latin letters or digits is one too. A token that begins within a word
    belongs to the token before, so that a token that is longer than the segmenter's word stays whole. Without a segmenter
    every token is a word.
    """

    def __init__(self, tokenizer: PublishedTokenizer, segment: Segmenter | None) -> None:
        self.tokenizer, self.vocabulary = tokenizer, tokenizer.vocabulary
        self._segment = segment

    def encode(self, text: str) -> EncodedText:
        """Returns the ids of ``PublishedTokenizer.encode_text`` with their parts."""
        found = self.tokenizer.encode_text(text)
        if self._segment is None:
            return EncodedText(found.ids, [START] * len(found.ids))
        starts = _word_starts(self.tokenizer.normalized(text), self._segment)
        places = [start for start, _ in found.offsets]
        # Tokens that share a character, as bytes do, begin at the same place.
        new = [place in starts and place != before for place, before in zip(places, [None, *places], strict=False)]
        return EncodedText(found.ids, [START if is_new else INSIDE for is_new in new])


def _word_starts(text: str, segment: Segmenter) -> set[int]:
    return {0, *accumulate(len(word) for word in segment(text))}


def word_tokenizer(vocabulary: AnyVocabulary, text_normalization: str, segment: Segmenter | None) -> WordTokenizer:
    """Returns the tokenizer of a vocabulary's words."""
    if isinstance(vocabulary, PublishedVocabulary):
        return PublishedWordTokenizer(PublishedTokenizer(vocabulary, text_normalization), segment)
    return PieceTokenizer(Tokenizer(vocabulary, text_normalization), segment)


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
