"""ELECTRA's generator: a narrower encoder over another one's embeddings."""

import copy

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.models.bert.modeling_tf_bert import TFBertLayer

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import SeededDropout, use_seeded_dropout
from easytransfer_mtl.encoders.embedding import embed, lookup_of
from easytransfer_mtl.encoders.transformer import layout_of, run_layer
from easytransfer_mtl.encoders.variants import adapt_layers
from easytransfer_mtl.seeding import truncated_normal

NAME = "generator"


def generator_config(config: PretrainedConfig, size: float) -> PretrainedConfig:
    """Returns the config of a generator's layers: as many as the encoder's, with a share of their widths and heads.

    Args:
        config: the encoder's.
        size: the share, more than 0 and at most 1. Heads keep about their width, and it stays even, as RoFormer needs.
    """
    small = copy.deepcopy(config)
    heads = max(1, round(size * config.num_attention_heads))
    small.num_attention_heads = heads
    small.hidden_size = 2 * heads * max(1, round(size * config.hidden_size / (2 * heads)))
    small.intermediate_size = max(1, round(size * config.intermediate_size))
    return small


class Generator(tf_keras.layers.Layer):
    """Layers of the encoder's type that read the encoder's embeddings, LayerNorm included (Clark et al. 2020, 3.2).

    The embeddings' variables are the encoder's and not among the generator's. If they are of another width than its
    layers, a dense layer of its own is between them.
    """

    def __init__(self, encoder: BertEncoder, size: float) -> None:
        """Builds the layers with random weights: kernels truncated normal, biases 0.

        Args:
            encoder: whose embeddings are shared.
            size: see ``generator_config``.
        """
        super().__init__(name=NAME)
        self.config = generator_config(encoder.config, size)
        self.__dict__["_encoder"] = encoder  # past Keras's tracking
        width, inputs = self.config.hidden_size, encoder.word_embeddings.shape[1]
        self.projection = None
        if width != inputs:
            self.projection = tf_keras.layers.Dense(width, name="embeddings_project")
            with tf.name_scope(f"{NAME}/{self.projection.name}"):
                self.projection.build((None, inputs))
        self.stack = [TFBertLayer(self.config, name=f"layer_{place}") for place in range(self.config.num_hidden_layers)]
        adapt_layers(self.stack, self.config)
        for layer in self.stack:
            with tf.name_scope(f"{NAME}/encoder/{layer.name}"):
                layer.build(None)
        use_seeded_dropout(self, encoder.clock)
        self.dropout = SeededDropout(self.config.hidden_dropout_prob, f"{NAME}/embeddings", encoder.clock)
        for name, variable in self.by_name.items():
            variable.assign(_start(name, variable, self.config.initializer_range, encoder.clock.seed))

    @property
    def by_name(self) -> dict[str, tf.Variable]:
        """The variables by name, for instance ``generator/encoder/layer_0/attention/self/query/kernel``."""
        return {variable.name.removesuffix(":0"): variable for variable in self.trainable_variables}

    def encode(self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the last layer's flat states [B * S, width] of int32 [B, S] inputs, in the encoder's number format."""
        embedded = embed(lookup_of(self._encoder.embeddings), input_ids, segment_ids, False)
        states = self.dropout(embedded, training)
        states = states if self.projection is None else self.projection(states)
        states, layout = tf.cast(states, self._encoder.state_type), layout_of(input_mask)
        for layer in self.stack:
            states = run_layer(layer, states, layout, training)
        return states


def _start(name: str, variable: tf.Variable, stddev: float, seed: int) -> np.ndarray:
    if name.endswith("/kernel"):
        return truncated_normal(tuple(variable.shape), stddev, seed, name)
    return np.full(variable.shape, float(name.endswith("/gamma")), np.float32)
