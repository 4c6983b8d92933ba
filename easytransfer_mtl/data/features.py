"""Converts texts to token ids in BERT's layout, with EasyTransfer's truncation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.errors import UserError, shown

SPECIAL_TOKENS_OF_A_PAIR = 3
"""[CLS] a [SEP] b [SEP]"""


@dataclass(frozen=True)
class Features:
    """One encoded row without padding.

    Attributes:
        input_ids: token ids, [CLS] a [SEP] or [CLS] a [SEP] b [SEP], or what a published tokenizer's template makes.
        first_length: number of leading tokens with segment id 0; the others have 1.
    """

    input_ids: list[int]
    first_length: int


@dataclass(frozen=True)
class UnitFeatures:
    """One row whose characters or words were encoded one by one.

    Attributes:
        features: the row.
        starts: for each unit the place of its first token; -1 for a unit that has none, or is behind the cut.
        cut: number of units with tokens behind the cut.
    """

    features: Features
    starts: list[int]
    cut: int

    def of_tokens(self, values: Sequence[int]) -> list[int]:
        """Returns for every token the value of the unit that it begins, or -1."""
        found = [-1] * len(self.features.input_ids)
        for start, value in zip(self.starts, values, strict=True):
            if start >= 0:
                found[start] = value
        return found


class RowEncoder(Protocol):
    """What encodes rows: ``tokenizer`` has ``vocabulary`` and ``text_normalization``; ``sequence_length`` is in tokens."""

    tokenizer: Any
    sequence_length: int

    def encode(self, texts: tuple[str, ...]) -> Features:
        """Encodes one text or a pair of texts."""
        ...

    def encode_units(self, units: Sequence[str]) -> UnitFeatures:
        """Encodes a text's characters or words, each by itself."""
        ...


def check_texts(texts: tuple[str, ...]) -> None:
    """Raises UserError if ``texts`` is a string, whose first two characters would be taken for a pair."""
    if isinstance(texts, str):
        raise UserError(f"{shown(texts)} is a string where a tuple of one or two texts is wanted; write (text,).")


def check_length(sequence_length: int, special_tokens: int) -> None:
    """Raises UserError if rows of ``sequence_length`` tokens, ``special_tokens`` in a pair, have no room for two texts."""
    if sequence_length < special_tokens + 2:
        raise UserError(
            f"sequence_length is {sequence_length}; with the {special_tokens} special tokens of a pair it must be at least "
            f"{special_tokens + 2}."
        )


def truncated_lengths(first: int, second: int, limit: int) -> tuple[int, int]:
    """Returns the lengths of a pair truncated to ``limit`` tokens in total.

    The result equals that of removing one token at a time from the end of the longer text, from the second on a tie
    (EasyTransfer's ``_truncate_seq_pair``).
    """
    if first + second <= limit:
        return first, second
    second_share = limit // 2
    first_share = limit - second_share
    if first <= first_share:
        return first, limit - first
    if second <= second_share:
        return limit - second, second
    return first_share, second_share


class FeatureBuilder:
    """Encodes rows up to a maximum length.

    A single text keeps ``sequence_length`` - 2 tokens. A pair keeps ``sequence_length`` - 3 in total, even if the second
    text is empty; an empty second text gets no second [SEP].
    """

    def __init__(self, tokenizer: Tokenizer, sequence_length: int) -> None:
        """Takes the tokenizer and the padded length in tokens.

        Raises:
            UserError: the length leaves no room for two texts.
        """
        check_length(sequence_length, SPECIAL_TOKENS_OF_A_PAIR)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self._cls, self._sep = tokenizer.vocabulary.frame_ids

    def encode(self, texts: tuple[str, ...]) -> Features:
        """Encodes one text or a pair of texts.

        Raises:
            UserError: ``texts`` is a string, whose first two characters would be taken for a pair.
        """
        check_texts(texts)
        first = self.tokenizer.ids(texts[0])
        if len(texts) == 1:
            ids = [self._cls, *first[: self.sequence_length - 2], self._sep]
            return Features(ids, len(ids))
        second = self.tokenizer.ids(texts[1])
        keep_first, keep_second = truncated_lengths(len(first), len(second), self.sequence_length - SPECIAL_TOKENS_OF_A_PAIR)
        ids = [self._cls, *first[:keep_first], self._sep]
        first_length = len(ids)
        if keep_second:
            ids += second[:keep_second]
            ids.append(self._sep)
        return Features(ids, first_length)

    def encode_units(self, units: Sequence[str]) -> UnitFeatures:
        """Encodes a text's characters or words, each by itself; words and Chinese characters get the ids of ``encode``."""
        ids, starts, cut = [self._cls], [], 0
        end = self.sequence_length - 1
        for unit in units:
            own = self.tokenizer.ids(unit)
            fits = len(ids) < end
            starts.append(len(ids) if own and fits else -1)
            cut += bool(own) and not fits
            ids += own[: end - len(ids)] if fits else []
        ids.append(self._sep)
        return UnitFeatures(Features(ids, len(ids)), starts, cut)
