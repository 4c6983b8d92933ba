import tensorflow as tf

from easytransfer_mtl import FeaturePart


class Spread(FeaturePart):
    """The standard deviation of each dimension of the last layer's states over a row's real tokens."""

    reads = frozenset({"sequence"})  # or pooled, layers

    def __init__(self, facts):
        super().__init__(name="spread")
        self.width = facts.width

    def read(self, encoded):
        mask = tf.cast(encoded.input_mask, tf.float32)[:, :, None]
        count = tf.reduce_sum(mask, axis=1)
        mean = tf.reduce_sum(mask * encoded.sequence, axis=1) / count
        apart = mask * (encoded.sequence - mean[:, None]) ** 2
        return tf.sqrt(tf.reduce_sum(apart, axis=1) / count + 1e-6)
