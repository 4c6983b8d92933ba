"""What models, training and evaluation ask of an encoder, whatever its type."""

import re
from contextlib import AbstractContextManager
from functools import cached_property

import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig

from easytransfer_mtl.encoders.dropout import DropoutClock

POOLER = ("pooler/dense/kernel", "pooler/dense/bias")


class Encoder:
    """The base of every encoder; what is computed here follows from the canonical names of its variables.

    Shapes: B rows, S tokens, H hidden size, L layers, V vocabulary size, E width of the embeddings (H, or less).

    Attributes:
        config: transformers' config, with the ``model_type`` that files of this encoder name.
        clock: drives dropout.
        state_type: type of the layers' states in graphs that are traced from now on.
        pooler: BERT's, a dense layer of the first token's state and tanh: [B, S, H] to [B, H].
    """

    config: PretrainedConfig
    clock: DropoutClock
    state_type: tf.DType
    pooler: tf_keras.layers.Layer

    def encode(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last layer's states [B, S, H] and the pooled output [B, H], float32, of int32 [B, S] inputs."""
        raise NotImplementedError

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns what ``encode`` has as pooled output, with as little work as the encoder can."""
        raise NotImplementedError

    def hidden_states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns L + 1 tensors, float32 [B, S, H]: the embeddings at the layers' width, then every layer's states."""
        raise NotImplementedError

    def computing_in(self, precision: str) -> AbstractContextManager[None]:
        """Sets the number format, ``float32`` or ``bfloat16``, of graphs that are traced and run inside ``with``."""
        raise NotImplementedError

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """The variables by canonical name, see ``canonical_names``."""
        raise NotImplementedError

    @property
    def word_embeddings(self) -> tf.Variable:
        """The table of tokens [V, E]."""
        return self.canonical_variables["embeddings/word_embeddings"]

    @property
    def pooler_variables(self) -> list[tf.Variable]:
        """The pooler's kernel and bias."""
        return self._at_depth(self.config.num_hidden_layers + 1)

    @property
    def last_layer_variables(self) -> list[tf.Variable]:
        """The last layer's variables; ALBERT's are those of every layer."""
        return self._at_depth(self.config.num_hidden_layers)

    @property
    def own_layers(self) -> list[tf_keras.layers.Layer]:
        """The layers, from the bottom, if each has variables of its own; none if all are one."""
        raise NotImplementedError

    def depth_of(self, variable: tf.Variable) -> int:
        """Returns where a variable is: 0 in the embeddings, 1 to L in a layer, L + 1 in the pooler.

        DeBERTa's table of relative positions, which all layers read, counts as embeddings. ALBERT's one layer counts as
        the last, L.

        Raises:
            KeyError: the variable is not the encoder's.
        """
        return self._depths[id(variable)]

    @cached_property
    def _depths(self) -> dict[int, int]:
        return {id(variable): self._depth_of_name(name) for name, variable in self.canonical_variables.items()}

    def _depth_of_name(self, name: str) -> int:
        layer = re.match(r"encoder/layer_(\d+)/", name)
        if layer:
            return self._depth_of_layer(int(layer.group(1)))
        # DeBERTa's convolution is a part of its first layer.
        if name.startswith("encoder/conv/"):
            return 1
        return self.config.num_hidden_layers + 1 if name in POOLER else 0

    def _depth_of_layer(self, number: int) -> int:
        """Returns the depth of the variables that are named as layer ``number``, which counts from 0."""
        return number + 1

    def _at_depth(self, depth: int) -> list[tf.Variable]:
        return [variable for variable in self.canonical_variables.values() if self._depths[id(variable)] == depth]
