"""A task's feature: one or more parts computed from an encoded batch."""

from abc import abstractmethod
from types import SimpleNamespace
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import POOLED, Encoded, Reads
from easytransfer_mtl.models.features.poolings import Pooling
from easytransfer_mtl.models.features.sources import Source


class FeatureFacts(NamedTuple):
    """The constructor argument of a user-defined ``FeaturePart``.

    Attributes:
        scope: prefix of its variables' and random streams' names.
        width: of the states, H.
        num_layers: the encoder's.
        seed: the run's.
        own: the options that user-defined classes declare.
    """

    scope: str
    width: int
    num_layers: int
    seed: int
    own: SimpleNamespace


class FeaturePart(tf_keras.layers.Layer):
    """One of the concatenated parts of a feature. A user-defined part is constructed with a ``FeatureFacts``.

    Attributes:
        reads: the encoder outputs it needs.
        width: of its value, F.
        is_sequence: whether its value is a state per token instead of one vector.
    """

    reads: Reads
    width: int
    is_sequence = False

    @abstractmethod
    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the value, [B, F] or [B, S, F]."""


class PooledPart(FeaturePart):
    """The pooler's output: tanh of a dense layer on the last layer's first token, as in the baseline."""

    reads = frozenset({POOLED})

    def __init__(self, width: int) -> None:
        """Takes the states' width."""
        super().__init__(name="pooled")
        self.width = width

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the pooled output [B, H]."""
        return encoded.pooled


class StatesPart(FeaturePart):
    """The states of a source, pooled."""

    def __init__(self, source: Source, pooling: Pooling, width: int) -> None:
        """Takes the source, the pooling, and the states' width."""
        super().__init__(name="part")
        self.source, self.pooling = source, pooling
        self.reads, self.width = source.reads, width * pooling.times

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the pooled states."""
        return self.pooling.pool(self.source.states(encoded), encoded)


class Feature(tf_keras.layers.Layer):
    """The concatenation of its parts along the last axis.

    Attributes:
        reads: the encoder outputs its parts need.
        width: of its value, F.
        is_sequence: whether its value is a state per token instead of one vector.
    """

    def __init__(self, name: str, parts: list[FeaturePart], is_sequence: bool) -> None:
        """Takes the name, the parts, and whether the value is a state per token."""
        super().__init__(name=name)
        self.parts, self.is_sequence = parts, is_sequence
        self.reads: Reads = frozenset().union(*(part.reads for part in parts))
        self.width = sum(part.width for part in parts)

    def read(self, encoded: Encoded) -> tf.Tensor:
        """Returns the value: [B, F], or [B, S, F] for sequences."""
        values = [part.read(encoded) for part in self.parts]
        return values[0] if len(values) == 1 else tf.concat(values, axis=-1)
