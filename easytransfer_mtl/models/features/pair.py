"""Pooling that compares the two texts of a pair."""

import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.masked import masked_mean
from easytransfer_mtl.models.features.poolings import Pooling


class Pair(Pooling):
    """[u; v; |u - v|; u * v] (Mou et al. 2016; Conneau et al. 2017), u and v the means over the real tokens of each text.

    Segment 0 is [CLS] and the first text with its [SEP], segment 1 the second text with its [SEP]. If there is no second
    text, v is 0.
    """

    times = 4

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the comparison vector [B, 4 H]."""
        second = encoded.input_mask * encoded.segment_ids
        u, v = masked_mean(states, encoded.input_mask - second), masked_mean(states, second)
        return tf.concat([u, v, tf.abs(u - v), u * v], axis=-1)
