"""Encoded rows of one task in memory: flat arrays without padding, cut into batches on demand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from easytransfer_mtl.data.features import Features, UnitFeatures
from easytransfer_mtl.data.tag_units import NO_TAG, padded_tags
from easytransfer_mtl.tasks import MULTI_LABEL, SCORE, TAGS, Task

Batch = dict[str, np.ndarray]
TEACHER = "teacher_probabilities"
"""Key of a teacher's probabilities in a batch."""
NO_LABEL = -1
"""Label id of a training row without a label."""


@dataclass(frozen=True)
class EncodedRows:
    """N rows with T real tokens in total.

    Attributes:
        input_ids: int32 [T], the token ids of all rows, concatenated.
        segment_ids: uint8 [T].
        offsets: int64 [N + 1]; row i is ``offsets[i]:offsets[i + 1]``.
        label_ids: int32 [N]; ``NO_LABEL`` for training rows without a label, zeros where labels are not read. With several
            labels a row, int32 [N, C], 0 or 1; numbers are kept as ``bits_of`` returns them; zeros of rows with tags.
        teacher: float32 [N, C], a teacher's probabilities; of numbers [N, 1], its numbers; of rows with tags [T, C], 0 for
            tokens that it says nothing of. None without a teacher.
        tag_ids: int32 [T], of rows with tags the tag of the unit (character or word) that a token begins, ``NO_TAG`` for
            other tokens; None for rows of other types.
        unit_numbers: int32 [T], the number of that unit in its text, -1 for other tokens; None where it is the place among
            the row's tags.
    """

    input_ids: np.ndarray
    segment_ids: np.ndarray
    offsets: np.ndarray
    label_ids: np.ndarray
    teacher: np.ndarray | None = None
    tag_ids: np.ndarray | None = None
    unit_numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each row, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def content(self) -> list[np.ndarray]:
        """The arrays of tokens and labels, by which rows are told from others; without a teacher's probabilities."""
        tags = [] if self.tag_ids is None else [self.tag_ids]
        return [self.input_ids, self.segment_ids, self.offsets, self.label_ids, *tags]

    @cached_property
    def units(self) -> np.ndarray:
        """Of rows with tags, the number in its row of the unit that each token begins, int64 [T]; -1 for other tokens."""
        if self.unit_numbers is not None:
            return self.unit_numbers.astype(np.int64)
        assert self.tag_ids is not None
        tagged = self.tag_ids != NO_TAG
        before = np.concatenate([[0], np.cumsum(tagged)])
        return np.where(tagged, before[1:] - 1 - np.repeat(before[self.offsets[:-1]], self.lengths), -1)

    @property
    def most_units(self) -> int:
        """Of rows with tags, the largest number of units of a row; 0 of others."""
        return 0 if self.tag_ids is None else int(self.units.max(initial=-1)) + 1

    @property
    def targets(self) -> np.ndarray:
        """What the rows are scored by: ``label_ids``; of rows with tags int32 [N, ``most_units``], see ``padded_tags``."""
        if self.tag_ids is None:
            return self.label_ids
        tokens = np.flatnonzero(self.tag_ids != NO_TAG)
        found = np.full((len(self), self.most_units), NO_TAG, np.int32)
        found[np.repeat(np.arange(len(self)), self.lengths)[tokens], self.units[tokens]] = self.tag_ids[tokens]
        return found

    @property
    def teacher_rank(self) -> int:
        """Number of dimensions of a batch's teacher."""
        return 2 if self.tag_ids is None else 3

    @property
    def label_rank(self) -> int:
        """Number of dimensions of a batch's label_ids."""
        return self.label_ids.ndim if self.tag_ids is None else 2

    def _tags_of(self, tokens: np.ndarray | slice) -> list[np.ndarray | None]:
        return [None if values is None else values[tokens] for values in (self.tag_ids, self.unit_numbers)]

    def first(self, count: int) -> "EncodedRows":
        """Returns the first ``count`` rows, or all if there are fewer."""
        count = min(count, len(self))
        end = int(self.offsets[count])
        return EncodedRows(
            self.input_ids[:end],
            self.segment_ids[:end],
            self.offsets[: count + 1],
            self.label_ids[:count],
            None if self.teacher is None else self.teacher[: count if self.tag_ids is None else end],
            *self._tags_of(slice(end)),
        )

    def take(self, rows: np.ndarray) -> "EncodedRows":
        """Returns the rows with the given numbers, int [M], in the given order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        teacher = None if self.teacher is None else self.teacher[rows if self.tag_ids is None else tokens]
        parts = (self.input_ids[tokens], self.segment_ids[tokens], offsets, self.label_ids[rows], teacher)
        return EncodedRows(*parts, *self._tags_of(tokens))

    def batch(self, rows: np.ndarray, padded_lengths: np.ndarray | None = None) -> Batch:
        """Pads rows to the length of the longest one, or to one of ``padded_lengths``.

        Args:
            rows: row numbers, int [B].
            padded_lengths: ascending; the batch gets the first length that holds its longest row.

        Returns:
            input_ids, input_mask, segment_ids (int32 [B, S]) and label_ids (int32 [B] or [B, C]; of rows with tags
            [B, S], ``NO_TAG`` at the padding too); with a teacher also ``TEACHER`` (float32 [B, C]; of rows with tags
            [B, S, C], 0 at the padding).
        """
        starts, lengths = self.offsets[rows], self.lengths[rows]
        size = int(lengths.max())
        if padded_lengths is not None:
            size = int(padded_lengths[np.searchsorted(padded_lengths, size)])
        input_mask = np.arange(size) < lengths[:, None]
        positions = np.where(input_mask, starts[:, None] + np.arange(size), 0)
        batch = {
            "input_ids": np.where(input_mask, self.input_ids[positions], 0).astype(np.int32),
            "input_mask": input_mask.astype(np.int32),
            "segment_ids": np.where(input_mask, self.segment_ids[positions], 0).astype(np.int32),
            "label_ids": self.label_ids[rows],
        }
        if self.tag_ids is not None:
            batch["label_ids"] = np.where(input_mask, self.tag_ids[positions], NO_TAG).astype(np.int32)
        if self.teacher is None:
            return batch
        if self.tag_ids is None:
            return {**batch, TEACHER: self.teacher[rows]}
        return {**batch, TEACHER: np.where(input_mask[..., None], self.teacher[positions], np.float32(0.0))}


def bits_of(numbers: np.ndarray) -> np.ndarray:
    """Returns numbers as the bits of float32, int32 of the same shape, so that batches of all tasks have one format."""
    return np.ascontiguousarray(numbers, np.float32).view(np.int32)


def targets_of(label_ids: np.ndarray, kind: str) -> np.ndarray:
    """Returns what label ids of a task's type stand for: themselves, or of ``score`` the numbers, float32 [N]."""
    return np.ascontiguousarray(label_ids, np.int32).view(np.float32) if kind == SCORE else label_ids


def encoded_labels(task: Task, labels: Sequence[str]) -> np.ndarray:
    """Returns texts of a task's label column as ``targets`` of ``EncodedRows``.

    Raises:
        ValueError: one is no label.
    """
    values: list[Any] = [task.target(label) for label in labels]
    if task.type == SCORE:
        return bits_of(np.array(values, np.float32))
    if task.type == TAGS:
        return padded_tags(values)
    shape = (len(values), task.num_labels) if task.type == MULTI_LABEL else (len(values),)
    return np.array(values, np.int32).reshape(shape)


def from_arrays(
    input_ids: np.ndarray,
    lengths: np.ndarray,
    segment_ids: np.ndarray,
    label_ids: np.ndarray,
    tag_ids: np.ndarray | None = None,
) -> EncodedRows:
    """Builds rows from padded token, segment and tag ids [N, S], row lengths [N] and label ids [N] or [N, C]."""
    real = np.arange(input_ids.shape[1]) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tags = None if tag_ids is None else tag_ids[real].astype(np.int32)
    parts = (input_ids[real].astype(np.int32), segment_ids[real].astype(np.uint8), offsets, label_ids.astype(np.int32))
    return EncodedRows(*parts, tag_ids=tags)


def from_features(features: Iterable[Features], label_ids: Iterable[int] | None = None) -> EncodedRows:
    """Builds rows from results of ``FeatureBuilder.encode``; without labels, the label ids are zeros."""
    features = list(features)
    lengths = np.array([len(row.input_ids) for row in features], np.int64)
    first = np.array([row.first_length for row in features], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    input_ids = np.fromiter((index for row in features for index in row.input_ids), np.int32, int(offsets[-1]))
    within_row = np.arange(len(input_ids)) - np.repeat(offsets[:-1], lengths)
    segment_ids = (within_row >= np.repeat(first, lengths)).astype(np.uint8)
    labels = np.zeros(len(features), np.int32) if label_ids is None else np.array(list(label_ids), np.int32)
    return EncodedRows(input_ids, segment_ids, offsets, labels)


def from_units(rows: Iterable[UnitFeatures]) -> EncodedRows:
    """Builds rows of texts to tag from results of ``RowEncoder.encode_units``; the tags are zeros."""
    rows = list(rows)
    numbers = [number for row in rows for number in row.of_tokens(range(len(row.starts)))]
    found = np.array(numbers, np.int32)
    tags = np.where(found >= 0, 0, NO_TAG).astype(np.int32)
    return replace(from_features(row.features for row in rows), tag_ids=tags, unit_numbers=found)


def concatenate(parts: list[EncodedRows]) -> EncodedRows:
    """Joins parts in order; an empty list gives no rows. Teachers' probabilities are kept if every part has them."""
    if not parts:
        empty = np.zeros(0, np.int32)
        return EncodedRows(empty, empty.astype(np.uint8), np.zeros(1, np.int64), empty)
    lengths = np.concatenate([part.lengths for part in parts])
    teachers = [part.teacher for part in parts if part.teacher is not None]
    tags = [part.tag_ids for part in parts if part.tag_ids is not None]
    return EncodedRows(
        np.concatenate([part.input_ids for part in parts]),
        np.concatenate([part.segment_ids for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.label_ids for part in parts]),
        np.concatenate(teachers) if len(teachers) == len(parts) else None,
        np.concatenate(tags) if tags else None,
    )
