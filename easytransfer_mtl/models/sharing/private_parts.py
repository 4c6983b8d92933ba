"""A task's private part in shared-private sharing: a copy of the encoder's top layers, or a small encoder."""

from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras
from transformers.models.bert.modeling_tf_bert import TFBertLayer, TFBertPooler

from easytransfer_mtl.encoders.bert_variants import adapt_layers
from easytransfer_mtl.encoders.dropout import use_seeded_dropout
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.transformer import Layout
from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.sharing.base import Features
from easytransfer_mtl.models.sharing.parts import encoded_like, random_encoder, small_config, top_output


class Trunk(NamedTuple):
    """The task-independent values of a batch.

    Attributes:
        shared: the shared encoder's output.
        states: flat states below the private top layers; None without such layers.
        layout: of the flat states.
    """

    shared: Encoded
    states: tf.Tensor | None = None
    layout: Layout | None = None


class PrivateTop(tf_keras.layers.Layer):
    """Copies of an encoder's last layers and pooler, under the same layer names, so that freezing applies to the same depth.

    Attributes:
        width: of the states.
        depths: the variables, each with the depth of the encoder variable that it copies.
    """

    depths: list[tuple[tf.Variable, int]]

    def __init__(self, name: str, encoder: Any, depth: int) -> None:
        """Takes a name, a ``BertEncoder``, and the number of layers to copy."""
        super().__init__(name=name)
        self.width: int = encoder.config.hidden_size
        self.__dict__["depths"] = []  # bypasses Keras's tracking, which would list ALBERT's variables repeatedly
        originals = [*encoder.encoder.layer[-depth:], encoder.pooler]
        kinds = [TFBertLayer] * depth + [TFBertPooler]
        self.stack = [kind(encoder.config, name=layer.name) for kind, layer in zip(kinds, originals)]
        adapt_layers(self.stack[:-1], encoder.config)
        for layer, original in zip(self.stack, originals):
            with tf.name_scope(f"{name}/{layer.name}"):
                layer.build(None)
            for variable, value in zip(layer.trainable_variables, original.trainable_variables, strict=True):
                variable.assign(value)
                self.depths.append((variable, encoder.depth_of(value)))
        use_seeded_dropout(self, encoder.clock)

    @property
    def pooler(self) -> tf_keras.layers.Layer:
        """The copied pooler."""
        return self.stack[-1]

    def encode(self, trunk: Trunk, features: Features, reads: Reads, training: bool) -> Encoded:
        """Returns the pooled output and, if requested, the states, computed from the trunk's flat states."""
        *layers, pooler = self.stack
        assert trunk.layout is not None
        pooled, sequence = top_output(layers, pooler, trunk.states, trunk.layout, reads, training)
        return trunk.shared._replace(pooled=pooled, sequence=sequence)


class PrivateEncoder(tf_keras.layers.Layer):
    """A small, randomly initialized encoder of the shared encoder's type, with its own embeddings."""

    def __init__(self, name: str, encoder: Encoder, layers: int, width: int) -> None:
        """Takes a name, the shared encoder, and the small encoder's number of layers and width."""
        super().__init__(name=f"{name}_part")
        self.width = width
        self.small = random_encoder(small_config(encoder.config, layers, width), encoder.clock, name)
        self.__dict__["_shared"] = encoder  # bypasses Keras's tracking

    @property
    def pooler(self) -> tf_keras.layers.Layer:
        """The small encoder's pooler."""
        return self.small.pooler

    def encode(self, trunk: Trunk, features: Features, reads: Reads, training: bool) -> Encoded:
        """Returns the small encoder's requested outputs."""
        return encoded_like(self.small, self._shared, features, reads, training)
