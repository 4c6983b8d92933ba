"""Masked batches; each depends only on the seed and its step, so that a resumed run needs no stored position."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.datasets import generated_dataset
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.pipeline import RowOrder
from easytransfer_mtl.pretraining.masking import Masking
from easytransfer_mtl.pretraining.rows import WordRows
from easytransfer_mtl.seeding import generator


@dataclass
class MaskedBatches:
    """The batches of a run's steps.

    Attributes:
        rows: the training rows.
        order: which rows a step gets; its seed is also the seed of the masks.
        padded_lengths: ascending lengths that batches may have.
        masking: draws new masks in every step.
    """

    rows: WordRows
    order: RowOrder
    padded_lengths: np.ndarray
    masking: Masking

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, see ``Masking.signature``."""
        rows = self.rows.batch(self.order.batch_rows(step), self.padded_lengths)
        return self.masking.apply(rows, generator(self.order.seed, "masks", step))

    def dataset(self, start: int, stop: int) -> tf.data.Dataset:
        """Returns the batches of the steps ``start`` to ``stop`` - 1."""

        def generate() -> Iterator[Batch]:
            for step in range(start, stop):
                yield self.batch(step)

        return generated_dataset(generate, self.masking.signature)


def held_out_batches(
    rows: WordRows, batch_size: int, padded_lengths: np.ndarray, masking: Masking, seed: int
) -> Iterator[Batch]:
    """Yields every row once, longest first, with masks that are always the same.

    The last batch is filled up with copies of its last row, in which nothing is predicted.

    Args:
        rows: the held-out rows.
        batch_size: rows per batch.
        padded_lengths: ascending lengths that batches may have.
        masking: draws the masks.
        seed: the run's seed.
    """
    order = np.argsort(-rows.rows.lengths, kind="stable")
    for index, start in enumerate(range(0, len(order), batch_size)):
        numbers = order[start : start + batch_size]
        filled = np.pad(numbers, (0, batch_size - len(numbers)), mode="edge")
        batch = masking.apply(rows.batch(filled, padded_lengths), generator(seed, "held-out masks", index))
        yield masking.without_copies(batch, len(numbers))
