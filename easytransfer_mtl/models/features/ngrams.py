"""The n-grams of a row's tokens, read past the encoder."""

import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.feature import FeaturePart
from easytransfer_mtl.models.own_layers import drawn_variable

LONGEST = 3
PRIME = 2**31 - 1
FACTORS = (1_640_531_527, 1_103_515_245, 1_917_230_633)
"""Of an n-gram's first, second and third token; below PRIME, so that sums of products with ids stay within 64 bits."""
LENGTH_FACTOR, TEXT_FACTOR = 1_299_709, 15_485_863


class NgramsPart(FeaturePart):
    """The sum of learned vectors of a row's n-grams (n = 1, 2, 3) over the square root of their number.

    Joulin et al. 2017 (fastText): n-grams have rows of a table by their hash, and those that fall on one row share it. The
    root instead of their number keeps the value's size the same for texts of any length. The first and the second text's
    n-grams are different ones, and none reaches across. [CLS] and [SEP] are tokens as others, so that beginnings and ends
    of texts are told apart.
    """

    reads = frozenset()

    def __init__(self, scope: str, buckets: int, width: int, seed: int) -> None:
        """Takes the name of the feature that it is of, the table's shape, and the run's seed."""
        super().__init__(name="ngrams")
        self.width, self.buckets = width, buckets
        self.table = drawn_variable(self, scope, "table", (buckets, width), seed)

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns it [B, W]."""
        rows, marks = zip(*(self._ngrams(encoded, length) for length in range(1, LONGEST + 1)), strict=True)
        # A table that rows are gathered from as a variable would be copied at its every other use.
        vectors = tf.gather(tf.convert_to_tensor(self.table), tf.concat(rows, axis=1))
        real = tf.concat(marks, axis=1)
        total = tf.squeeze(tf.matmul(real[:, tf.newaxis], vectors), axis=1)
        return total / tf.sqrt(tf.maximum(tf.reduce_sum(real, axis=1, keepdims=True), 1.0))

    def _ngrams(self, encoded: Encoded, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the table's rows of the n-grams of a length, int64 [B, S - n + 1], and 1.0 for real ones, 0.0 else."""
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
