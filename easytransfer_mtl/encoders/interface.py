"""The interface of all encoder types for models, training and evaluation."""

import re
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock

POOLER = ("pooler/dense/kernel", "pooler/dense/bias")


class Encoder:
    """Base class of every encoder; what is computed here depends only on the canonical names of its variables.

    Shapes: B rows, S tokens, H hidden size, L layers, V vocabulary size, E width of the embeddings (H, or less).

    Attributes:
        config: transformers' config, with the ``model_type`` in this encoder's files.
        clock: drives dropout.
        state_type: type of the layers' states in graphs traced from now on.
        has_types: whether its tokenizer gives the two texts of a pair different token types, see ``token_types``.
        pooler: BERT's pooler, a dense layer with tanh on the first token's state: [B, S, H] to [B, H].
    """

    config: Any
    clock: DropoutClock
    state_type: tf.DType
    has_types = True
    pooler: tf_keras.layers.Layer
    weights: list[tf.Variable]
    trainable_variables: list[tf.Variable]

    def encode(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last layer's states [B, S, H] and the pooled output [B, H], float32, for int32 [B, S] inputs.

        As in all methods, the embeddings get ``token_types(segment_ids)``.
        """
        raise NotImplementedError

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns the pooled output of ``encode`` with as little computation as the encoder allows."""
        raise NotImplementedError

    def hidden_states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns L + 1 tensors, float32 [B, S, H]: the embeddings at the layers' width, then every layer's states."""
        raise NotImplementedError

    def computing_in(self, precision: str) -> AbstractContextManager[None]:
        """Sets the number format, ``float32``, ``bfloat16`` or ``float16``, of graphs run in the ``with`` block."""
        raise NotImplementedError

    def token_types(self, segment_ids: tf.Tensor) -> tf.Tensor:
        """Returns the token types, int32 [B, S], that the embeddings get for segment ids.

        Segment ids are 1 for the second text, which features read, whatever the encoder is. Token types are what the
        encoder was trained on: all 0 if its tokenizer gives both texts the same (XLM-R's), or if it knows only one type.
        """
        return segment_ids if self.has_types and self.config.type_vocab_size != 1 else tf.zeros_like(segment_ids)

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """Canonical name -> variable, see ``canonical_names``."""
        raise NotImplementedError

    @property
    def word_embeddings(self) -> tf.Variable:
        """The table of token embeddings [V, E]."""
        return self.canonical_variables["embeddings/word_embeddings"]

    @property
    def pooler_variables(self) -> list[tf.Variable]:
        """The pooler's kernel and bias."""
        return self._at_depth(self.config.num_hidden_layers + 1)

    @property
    def last_layer_variables(self) -> list[tf.Variable]:
        """The last layer's variables; in ALBERT all layers share them."""
        return self._at_depth(self.config.num_hidden_layers)

    @property
    def own_layers(self) -> list[tf_keras.layers.Layer]:
        """The layers, from the bottom, if each has its own variables; empty if all layers share theirs."""
        raise NotImplementedError

    def depth_of(self, variable: tf.Variable) -> int:
        """Returns the depth of a variable: 0 for embeddings, 1 to L for a layer, L + 1 for the pooler.

        DeBERTa's table of relative positions, which all layers read, counts as embeddings. ALBERT's single layer counts as
        the last, L.

        Raises:
            KeyError: the variable does not belong to the encoder.
        """
        return self._depths[id(variable)]

    @cached_property
    def _depths(self) -> dict[int, int]:
        return {id(variable): self._depth_of_name(name) for name, variable in self.canonical_variables.items()}

    def _depth_of_name(self, name: str) -> int:
        layer = re.match(r"encoder/layer_(\d+)/", name)
        if layer:
            return self._depth_of_layer(int(layer.group(1)))
        # DeBERTa's convolution belongs to its first layer.
        if name.startswith("encoder/conv/"):
            return 1
        return self.config.num_hidden_layers + 1 if name in POOLER else 0

    def _depth_of_layer(self, number: int) -> int:
        """Returns the depth of the variables in the scope of layer ``number``, which counts from 0."""
        return number + 1

    def _at_depth(self, depth: int) -> list[tf.Variable]:
        return [variable for variable in self.canonical_variables.values() if self._depths[id(variable)] == depth]
