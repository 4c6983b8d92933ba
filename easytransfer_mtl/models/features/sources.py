"""Sources: which layers' states a feature reads."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import LAYERS, SEQUENCE, Encoded, Reads


class Source(tf_keras.layers.Layer):
    """Selects states from an encoded batch.

    Attributes:
        reads: the encoder outputs it needs.
    """

    reads: Reads = frozenset({LAYERS})

    @abstractmethod
    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns the states [B, S, H]."""


class LastLayer(Source):
    """The last layer's states."""

    reads = frozenset({SEQUENCE})

    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns the last layer's states [B, S, H]."""
        return encoded.sequence


class MeanOfLayers(Source):
    """The mean of the states of given layers."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        """Takes the layers' numbers, 0 being the embeddings' output."""
        super().__init__(name="mean_of_layers")
        self.numbers = numbers

    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns the mean [B, S, H]."""
        chosen = [encoded.layers[number] for number in self.numbers]
        return chosen[0] if len(chosen) == 1 else tf.add_n(chosen) / len(chosen)
