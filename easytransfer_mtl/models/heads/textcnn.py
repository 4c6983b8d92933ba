"""Head with convolutions over the tokens."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import STDDEV, Drawn, dense_layer

WINDOWS = (2, 3, 4)
"""Filter lengths in tokens."""


class TextCnnHead(Head, tf_keras.layers.Layer):
    """Logits from each filter's maximum over windows of real tokens, after ReLU (Kim 2014).

    Windows contain no padding. A row shorter than the window has one window, filled up with zeros.
    """

    reads_sequence = True
    size_of = f"filters of each window length {WINDOWS}"
    default_size = 100

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the layers."""
        super().__init__(name=facts.name)
        self.convolutions = [self._convolution(facts, window) for window in WINDOWS]
        self.dropout = facts.dropout("filters")
        self.logits = dense_layer(facts.name, "logits", facts.size * len(WINDOWS), facts.num_labels, facts.clock.seed)

    def _convolution(self, facts: HeadFacts, window: int) -> tf_keras.layers.Conv1D:
        name = f"window{window}"
        start = Drawn(STDDEV, facts.clock.seed, "own", facts.name, name)
        layer = tf_keras.layers.Conv1D(facts.size, window, activation="relu", kernel_initializer=start, name=name)
        with tf.name_scope(f"{facts.name}/{layer.name}"):
            layer.build((None, None, facts.width))
        return layer

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits [B, C] for ``inputs`` [B, S, F]."""
        states = inputs * tf.cast(input_mask, inputs.dtype)[:, :, tf.newaxis]
        found = [_greatest(layer, window, states, input_mask) for layer, window in zip(self.convolutions, WINDOWS)]
        return self.logits(self.dropout(tf.concat(found, axis=-1), training=training))


def _greatest(layer: tf_keras.layers.Conv1D, window: int, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns each filter's maximum [B, filters] over the first window and all windows whose last token is real."""
    values = layer(tf.pad(states, [[0, 0], [0, window - 1], [0, 0]]))
    whole = tf.pad(mask, [[0, 0], [0, window - 1]])[:, window - 1 :] > 0
    is_first = tf.equal(tf.range(tf.shape(mask)[1]), 0)
    return tf.reduce_max(tf.where((whole | is_first)[:, :, tf.newaxis], values, float("-inf")), axis=1)
