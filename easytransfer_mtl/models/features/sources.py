"""Which layers' states a feature reads."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import LAYERS, SEQUENCE, Encoded, Reads


class Source(tf_keras.layers.Layer):
    """Takes states out of an encoded batch.

    Attributes:
        reads: what of the batch it needs.
    """

    reads: Reads = frozenset({LAYERS})

    @abstractmethod
    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns states [B, S, H]."""


class LastLayer(Source):
    """The last layer's states."""

    reads = frozenset({SEQUENCE})

    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns them."""
        return encoded.sequence


class MeanOfLayers(Source):
    """The mean of some layers' states."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        """Takes the layers, 0 the embeddings' output; of one the mean is itself."""
        super().__init__(name="mean_of_layers")
        self.numbers = numbers

    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns the mean."""
        chosen = [encoded.layers[number] for number in self.numbers]
        return chosen[0] if len(chosen) == 1 else tf.add_n(chosen) / len(chosen)
