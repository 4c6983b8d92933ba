"""N-gram features, computed from token ids without the encoder."""

import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.feature import FeaturePart
from easytransfer_mtl.models.own_layers import drawn_variable

LONGEST = 3
PRIME = 2**31 - 1
FACTORS = (1_640_531_527, 1_103_515_245, 1_917_230_633)
"""For an n-gram's first, second and third token; below PRIME, so that sums of products with ids fit into 64 bits."""
LENGTH_FACTOR, TEXT_FACTOR = 1_299_709, 15_485_863


class NgramsPart(FeaturePart):
    """The sum of the learned vectors of a row's n-grams (n = 1, 2, 3), divided by the square root of their number.

    Joulin et al. 2017 (fastText): an n-gram's hash selects a row of a table; n-grams with the same hash share the row.
    Dividing by the square root instead of the number keeps the value's scale the same for texts of any length. N-grams of
    the first and of the second text are hashed differently, and none spans both texts. [CLS] and [SEP] count as tokens, so
    that n-grams at the beginning and at the end of a text are distinct.
    """

    reads = frozenset()

    def __init__(self, scope: str, buckets: int, width: int, seed: int) -> None:
        """Takes the scope of its variables, the table's rows and columns, and the run's seed."""
        super().__init__(name="ngrams")
        self.width, self.buckets = width, buckets
        self.table = drawn_variable(self, scope, "table", (buckets, width), seed)

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the scaled sum [B, W]."""
        rows, marks = zip(*(self._ngrams(encoded, length) for length in range(1, LONGEST + 1)), strict=True)
        # Gathering from the variable itself would copy the table at its every other use.
        vectors = tf.gather(tf.convert_to_tensor(self.table), tf.concat(rows, axis=1))
        real = tf.concat(marks, axis=1)
        total = tf.squeeze(tf.matmul(real[:, tf.newaxis], vectors), axis=1)
        return total / tf.sqrt(tf.maximum(tf.reduce_sum(real, axis=1, keepdims=True), 1.0))

    def _ngrams(self, encoded: Encoded, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the table rows of all n-grams of one length n, int64 [B, S - n + 1], and a mask, 1.0 for real n-grams."""
        count = tf.maximum(tf.shape(encoded.input_ids)[1] - length + 1, 0)

        def moved(values: tf.Tensor, by: int) -> tf.Tensor:
            return values[:, by : by + count]

        text = moved(encoded.segment_ids, 0)
        mixed = tf.cast(text, tf.int64) * TEXT_FACTOR + length * LENGTH_FACTOR
        real = tf.ones_like(text)
        for place in range(length):
            mixed += tf.cast(moved(encoded.input_ids, place), tf.int64) * FACTORS[place]
            same_text = tf.cast(tf.equal(moved(encoded.segment_ids, place), text), real.dtype)
            real *= moved(encoded.input_mask, place) * same_text
        return mixed % PRIME % self.buckets, tf.cast(real, tf.float32)
