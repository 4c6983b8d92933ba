"""Texts as rows of tokens: one or several single texts per row; a pair always has its own row."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from easytransfer_mtl.data.encoded_rows import Batch, EncodedRows, from_features
from easytransfer_mtl.data.features import Features, check_length, truncated_lengths
from easytransfer_mtl.pretraining.texts import Text
from easytransfer_mtl.pretraining.words import SPECIAL, EncodedText, WordTokenizer
from easytransfer_mtl.seeding import generator


@dataclass(frozen=True)
class WordRows:
    """N rows with T tokens in total.

    Attributes:
        rows: token ids and segments.
        parts: uint8 [T], ``SPECIAL``, ``START`` or ``INSIDE`` for each token.
    """

    rows: EncodedRows
    parts: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, numbers: np.ndarray, padded_lengths: np.ndarray) -> Batch:
        """Returns the result of ``EncodedRows.batch`` and word_parts, uint8 [B, S], ``SPECIAL`` for padding."""
        batch = self.rows.batch(numbers, padded_lengths)
        offsets = self.rows.offsets
        parts = np.zeros(batch["input_ids"].shape, np.uint8)
        parts[batch["input_mask"] == 1] = np.concatenate(
            [self.parts[offsets[number] : offsets[number + 1]] for number in numbers]
        )
        return {**batch, "word_parts": parts}


class RowBuilder:
    """Builds rows up to a maximum length.

    A row of single texts is [CLS] a [SEP] b [SEP] c [SEP], with segment 0 throughout; attention covers the whole row and
    positions count through it. A single text that is longer than a row is split into several pieces. A pair is [CLS] a [SEP]
    b [SEP] with the segments 0 and 1; the longer text is cut first, as in training. A published tokenizer's template takes
    the place of [CLS] and [SEP].
    """

    def __init__(self, tokenizer: WordTokenizer, sequence_length: int, packs: bool, seed: int) -> None:
        """Takes the tokenizer, the maximum number of tokens per row, whether single texts share rows, and the run's seed.

        Raises:
            UserError: the length leaves no room for two texts.
        """
        template = tokenizer.vocabulary.template
        special = sum(len(ids) for ids in template)
        check_length(sequence_length, special)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.packs = packs
        self.seed = seed
        self._before, self._between, self._after = template
        self._room_for_pair = sequence_length - special
        self._room = sequence_length - len(self._before)

    def build(self, texts: list[Text]) -> WordRows:
        """Returns the rows of the texts; texts without any token are skipped."""
        encoded = ([self.tokenizer.encode(part) for part in text] for text in texts)
        whole = [parts for parts in ([part for part in text if part.ids] for text in encoded) if parts]
        pairs = [self._cut_pair(*parts) for parts in whole if len(parts) == 2]
        singles = [piece for parts in whole if len(parts) == 1 for piece in self._pieces(parts[0])]
        rows = [self._row(parts, True) for parts in pairs] + [self._row(parts, False) for parts in self._packed(singles)]
        parts = np.fromiter(chain.from_iterable(parts for _, parts in rows), np.uint8)
        return WordRows(from_features(features for features, _ in rows), parts)

    def _cut_pair(self, first: EncodedText, second: EncodedText) -> list[EncodedText]:
        kept = truncated_lengths(len(first.ids), len(second.ids), self._room_for_pair)
        return [first.cut(0, kept[0]), second.cut(0, kept[1])]

    def _pieces(self, text: EncodedText) -> list[EncodedText]:
        size = self._room - len(self._after)
        return [text.cut(start, start + size) for start in range(0, len(text.ids), size)]

    def _packed(self, pieces: list[EncodedText]) -> list[list[EncodedText]]:
        if not self.packs:
            return [[piece] for piece in pieces]
        pieces = [pieces[place] for place in generator(self.seed, "packing").permutation(len(pieces))]
        packed = pack([len(piece.ids) + len(self._after) for piece in pieces], self._room)
        return [[pieces[place] for place in places] for places in packed]

    def _row(self, texts: list[EncodedText], is_pair: bool) -> tuple[Features, list[int]]:
        ids, parts = [*self._before], [SPECIAL] * len(self._before)
        for text, behind in zip(texts, [self._between, self._after] if is_pair else [self._after] * len(texts), strict=True):
            ids += [*text.ids, *behind]
            parts += [*text.parts, *[SPECIAL] * len(behind)]
        first_length = len(self._before) + len(texts[0].ids) + len(self._between)
        return Features(ids, first_length if is_pair else len(ids)), parts


def pack(sizes: list[int], capacity: int) -> list[list[int]]:
    """Puts items into bins, each into the fullest bin with enough room (best fit).

    Args:
        sizes: sizes of the items, from 1 to ``capacity``.
        capacity: size of a bin.

    Returns:
        The indices of each bin's items.
    """
    bins: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    for item, size in enumerate(sizes):
        room = next((room for room in range(size, capacity + 1) if with_room[room]), None)
        if room is None:
            room = capacity
            with_room[room].append(len(bins))
            bins.append([])
        place = with_room[room].pop()
        bins[place].append(item)
        with_room[room - size].append(place)
    return bins
