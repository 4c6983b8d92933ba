"""Chooses the tokens of a batch to predict, and what replaces them in the input."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.published_tokenizer import MASK_NAMES, AnyVocabulary
from easytransfer_mtl.data.tokenization import MASK_TOKEN, PUBLISHED
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.words import START

UNUSED = re.compile(r"\[unused\d+\]")
MASKED, REPLACED = 0.8, 0.1
LONGEST_RUN, RUN_LENGTHS = 3, np.array([6, 3, 2]) / 11
"""Maximum number of words in a run, and the probabilities of 1, 2 and 3 words."""


@dataclass(frozen=True)
class Masking:
    """BERT's masking (Devlin et al. 2019): 80 % of the chosen tokens become [MASK], 10 % another token, 10 % stay.

    The unit that is chosen is a token (``token``), a word (``wwm``; Cui et al. 2019), or a run of 1 to 3 words of one text,
    n words with a probability proportional to 1 / n (``ngram``; Lan et al. 2020, ALBERT, section 4.1). The tokens of a unit
    are then replaced or kept independently of each other.

    Attributes:
        kind: ``token``, ``wwm`` or ``ngram``.
        share: expected share of each row's tokens that is chosen, without special tokens.
        mask_id: id of [MASK] or <mask>.
        others: int32, ids of possible replacements: all except special and unused tokens.
        signature: the TensorSpecs of the result of ``apply``.
    """

    kind: str
    share: float
    mask_id: int
    others: np.ndarray

    signature: ClassVar[dict[str, tf.TensorSpec]] = {
        **{name: tf.TensorSpec([None, None], tf.int32) for name in ("input_ids", "input_mask", "segment_ids")},
        **{name: tf.TensorSpec([None], tf.int32) for name in ("positions", "labels")},
        "weights": tf.TensorSpec([None], tf.float32),
    }

    def places(self, rows: int, length: int) -> int:
        """Returns the maximum number of predicted tokens in a [rows, length] batch."""
        return math.ceil(self.share * rows * length)

    def apply(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Masks a batch.

        Args:
            batch: input_ids, input_mask, segment_ids, word_parts [B, S].
            random: the source of random numbers.

        Returns:
            input_ids, input_mask and segment_ids, and for the P tokens to predict (see ``places``): positions (int32 [P],
            indices into the flattened batch), labels (int32 [P], the true ids) and weights (float32 [P], 0 for unused
            places).
        """
        parts = batch["word_parts"]
        tokens = np.flatnonzero(parts)
        units = self._units(parts.ravel()[tokens] == START, tokens, random)
        size = self.places(*parts.shape)
        chosen = tokens[self._choose(units, tokens // parts.shape[1], size, random)[units]]
        input_ids = batch["input_ids"].copy()
        labels = input_ids.ravel()[chosen]
        input_ids.ravel()[chosen] = self._shown(labels, random)
        padding = (0, size - len(chosen))
        return {
            "input_ids": input_ids,
            "input_mask": batch["input_mask"],
            "segment_ids": batch["segment_ids"],
            "positions": np.pad(chosen, padding).astype(np.int32),
            "labels": np.pad(labels, padding).astype(np.int32),
            "weights": np.pad(np.ones(len(chosen), np.float32), padding),
        }

    def without_copies(self, batch: Batch, rows: int) -> Batch:
        """Returns a masked batch without predictions in the rows from index ``rows`` on."""
        is_copy = batch["positions"] // batch["input_ids"].shape[1] >= rows
        return {**batch, "weights": np.where(is_copy, np.float32(0), batch["weights"])}

    def _units(self, starts: np.ndarray, tokens: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns each token's unit number, ascending from 0.

        Args:
            starts: bool [T], whether the token starts a word.
            tokens: int [T], indices into the flattened batch, with a gap between texts.
            random: draws the lengths of runs.
        """
        words = np.cumsum(starts) - 1
        if self.kind != "ngram":
            return words
        lengths = random.choice(np.arange(1, LONGEST_RUN + 1), size=int(starts.sum()), p=RUN_LENGTHS)
        run = np.searchsorted(np.cumsum(lengths), np.arange(len(lengths)), side="right")
        begins = (np.diff(run, prepend=-1) > 0) | (np.diff(tokens, prepend=-2)[starts] > 1)
        return (np.cumsum(begins) - 1)[words]

    def _choose(self, units: np.ndarray, rows: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """Returns which units are chosen, bool [U].

        A row's units are taken in random order until its budget, a share of its tokens, is used up. The unit that exceeds
        the budget is taken with the probability that keeps the expected number of tokens at the budget.

        Args:
            units: int [T], each token's unit.
            rows: int [T], each token's row.
            size: maximum number of tokens in all chosen units.
            random: the source of random numbers.
        """
        tokens = np.bincount(units)
        in_row = np.bincount(rows)
        row = rows[np.flatnonzero(np.diff(units, prepend=-1))]
        order = np.lexsort((random.random(len(tokens)), row))
        spent = np.cumsum(tokens[order]) - tokens[order] - (np.cumsum(in_row) - in_row)[row[order]]
        left = self.share * in_row[row[order]] - spent
        chosen = np.zeros(len(tokens), bool)
        chosen[order] = random.random(len(tokens)) * tokens[order] < left
        if tokens[chosen].sum() > size:
            shuffled = random.permutation(np.flatnonzero(chosen))
            chosen[shuffled[np.cumsum(tokens[shuffled]) > size]] = False
        return chosen

    def _shown(self, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        draw = random.random(len(labels))
        others = self.others[random.integers(len(self.others), size=len(labels))]
        return np.where(draw < MASKED, self.mask_id, np.where(draw < MASKED + REPLACED, others, labels))


def make_masking(kind: str, share: float, vocabulary: AnyVocabulary, source: str) -> Masking:
    """Builds the masking for a vocabulary.

    Args:
        kind: see ``Masking``.
        share: see ``Masking``; more than 0 and less than 1.
        vocabulary: the encoder's vocabulary.
        source: its origin, for error messages.

    Raises:
        UserError: the vocabulary has no token for masked ones, or only special tokens.
    """
    if vocabulary.mask_id is None:
        names = " or ".join(MASK_NAMES if vocabulary.tokenizer == PUBLISHED else [MASK_TOKEN])
        raise UserError(f"{source} has no token {names}, which pre-training needs.")
    special = vocabulary.special_ids
    others = [
        index
        for token, index in vocabulary.ids.items()
        if token.strip() and not UNUSED.fullmatch(token) and index not in special
    ]
    if not others:
        raise UserError(f"{source} holds special tokens only.")
    return Masking(kind, share, vocabulary.mask_id, np.array(others, np.int32))
