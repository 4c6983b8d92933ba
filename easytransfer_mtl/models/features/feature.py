"""What a task reads of an encoded batch."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import POOLED, Encoded, Reads
from easytransfer_mtl.models.features.poolings import Pooling
from easytransfer_mtl.models.features.sources import Source


class FeaturePart(tf_keras.layers.Layer):
    """One of the values that stand side by side.

    Attributes:
        reads: what of the encoder's output it needs.
        width: of the value.
    """

    reads: Reads
    width: int

    @abstractmethod
    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the value, [B, F] or [B, S, F]."""


class PooledPart(FeaturePart):
    """The pooled output: tanh of a dense layer on the last layer's first token, as in the baseline."""

    reads = frozenset({POOLED})

    def __init__(self, width: int) -> None:
        """Takes the width of the states."""
        super().__init__(name="pooled")
        self.width = width

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns it [B, H]."""
        return encoded.pooled


class StatesPart(FeaturePart):
    """The states of a source, pooled."""

    def __init__(self, source: Source, pooling: Pooling, width: int) -> None:
        """Takes both, and the width of the states."""
        super().__init__(name="part")
        self.source, self.pooling = source, pooling
        self.reads, self.width = source.reads, width * pooling.times

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the pooling's value."""
        return self.pooling.pool(self.source.states(encoded), encoded)


class Feature(tf_keras.layers.Layer):
    """Parts side by side.

    Attributes:
        reads: what of the encoder's output they need.
        width: of the value.
        is_sequence: whether it is a state per token instead of one vector.
    """

    def __init__(self, name: str, parts: list[FeaturePart], is_sequence: bool) -> None:
        """Takes its name, its parts, and whether it is a state per token."""
        super().__init__(name=name)
        self.parts, self.is_sequence = parts, is_sequence
        self.reads: Reads = frozenset().union(*(part.reads for part in parts))
        self.width = sum(part.width for part in parts)

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the value: [B, F], or of sequences [B, S, F]."""
        values = [part.read(encoded) for part in self.parts]
        return values[0] if len(values) == 1 else tf.concat(values, axis=-1)
