"""Variants of BERT with some other parts: ALBERT, ELECTRA and RoFormer, over BERT's layers.

ELECTRA's embeddings may be narrower than its layers. ALBERT's embeddings always pass through a dense layer to the layers'
width, and all its layers share their variables. RoFormer has no position embeddings but rotates queries and keys by their
positions.
"""

import copy
from typing import Any

import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.models.bert.modeling_tf_bert import TFBertEmbeddings, TFBertLayer

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.embedding import ProjectedEmbeddings


class VariantEncoder(BertEncoder):
    """ALBERT, ELECTRA or RoFormer, by the config's ``model_type``, with BERT's pooler."""

    @property
    def _shares_layers(self) -> bool:
        return self.config.model_type == "albert"

    def build(self, input_shape: tf.TensorShape | None = None) -> None:
        """Replaces BERT's parts by the variant's before any variable exists, then creates the variables."""
        if not self.built:
            self.embeddings = _embeddings(self.config)
            adapt_layers(self.encoder.layer, self.config)
        super().build(input_shape)

    @property
    def own_layers(self) -> list[tf_keras.layers.Layer]:
        """The layers, from the bottom; empty for ALBERT."""
        return [] if self._shares_layers else super().own_layers

    def _depth_of_layer(self, number: int) -> int:
        """Returns a layer's depth; ALBERT's shared layer is as deep as the last."""
        return self.config.num_hidden_layers if self._shares_layers else number + 1


def _embeddings(config: Any) -> tf_keras.layers.Layer:
    narrow = copy.deepcopy(config)
    narrow.hidden_size = config.embedding_size
    projects = config.model_type == "albert" or config.embedding_size != config.hidden_size
    name = "lookup" if projects else "embeddings"
    if config.model_type == "roformer":
        # Slow to import, and no other type needs it.
        from transformers.models.roformer.modeling_tf_roformer import TFRoFormerEmbeddings

        lookup = TFRoFormerEmbeddings(config, name=name)
    else:
        lookup = TFBertEmbeddings(narrow, name=name)
    return ProjectedEmbeddings(lookup, config.hidden_size, config.embedding_size) if projects else lookup


def adapt_layers(layers: list[TFBertLayer], config: PretrainedConfig) -> None:
    """Adapts BERT layers that have no variables yet to a type: ALBERT's share theirs, RoFormer's rotate by positions."""
    if config.model_type == "albert":
        first, *others = layers
        for layer in others:
            _tie(layer, first)
    if config.model_type == "roformer":
        for layer in layers:
            layer.rotary_positions = config.max_position_embeddings
            layer.rotary_values = config.rotary_value


def _tie(layer: TFBertLayer, first: TFBertLayer) -> None:
    """Gives a layer the first layer's dense layers and LayerNorms; its dropouts, whose masks must differ, stay its own."""
    attention, source = layer.attention.self_attention, first.attention.self_attention
    attention.query, attention.key, attention.value = source.query, source.key, source.value
    pairs = (
        (layer.attention.dense_output, first.attention.dense_output),
        (layer.bert_output, first.bert_output),
        (layer.intermediate, first.intermediate),
    )
    for part, original in pairs:
        part.dense = original.dense
        if hasattr(part, "LayerNorm"):
            part.LayerNorm = original.LayerNorm
    # The shared parts have variables already, and Keras would create new ones.
    for built in (layer, layer.attention, attention, *(part for part, _ in pairs)):
        built.built = True
