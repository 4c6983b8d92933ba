"""The TensorFlow BERT encoder: the variables of transformers' TFBertMainLayer, computed by the module ``transformer``."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
import tf_keras
from transformers import BertConfig
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.config_checks import first_position
from easytransfer_mtl.encoders.dropout import DropoutClock, use_seeded_dropout
from easytransfer_mtl.encoders.embedding import embed
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.transformer import Layout, layout_of, run_layer

GRAPH_OPTIMIZER_OFF = "disable_meta_optimizer"


class BertEncoder(Encoder, TFBertMainLayer):
    """BERT with pooler. The pooled output is tanh of a dense layer on the last layer's first token.

    RoBERTa and XLM-R are the same network with positions that begin behind padding's.

    ``config.hidden_act`` is ``gelu_new`` for the tanh approximation that EasyTransfer always used, ``gelu`` for the exact
    one.

    Attributes:
        clock: drives dropout.
        state_type: type of the layers' states and matrix products in graphs traced from now on: float32, or bfloat16 or
            float16 (faster on machines that multiply them). Variables, sums, softmax, LayerNorm and the encoder's outputs
            are always float32.
    """

    def __init__(self, config: BertConfig, clock: DropoutClock, name: str = "bert") -> None:
        """Builds all variables (values are arbitrary until ``assign_weights``) and inserts seeded dropout.

        ``name`` is the variables' scope and part of the names of the dropout's streams.
        """
        super().__init__(config, add_pooling_layer=True, name=name)
        with tf.name_scope(self.name):
            self.build()
        self.clock = clock
        self.state_type = tf.float32
        self._first_position = first_position(config.to_dict())
        use_seeded_dropout(self, clock)

    @contextmanager
    def computing_in(self, precision: str) -> Iterator[None]:
        """Sets ``state_type``, ``float32``, ``bfloat16`` or ``float16``, for graphs traced and run inside the block.

        Turns TensorFlow's graph optimizer off in the block: it makes the first step a fifth longer and no later step
        shorter.
        """
        before, self.state_type = self.state_type, tf.as_dtype(precision)
        optimizer_was_off = tf.config.optimizer.get_experimental_options().get(GRAPH_OPTIMIZER_OFF, False)
        tf.config.optimizer.set_experimental_options({GRAPH_OPTIMIZER_OFF: True})
        try:
            yield
        finally:
            self.state_type = before
            tf.config.optimizer.set_experimental_options({GRAPH_OPTIMIZER_OFF: optimizer_was_off})

    def encode(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last layer's states [B, S, H] and the pooled output [B, H] for int32 [B, S] inputs."""
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training)
        sequence = tf.reshape(tf.cast(states, tf.float32), [layout.rows, layout.length, states.shape[-1]])
        return sequence, self.pooler(sequence)

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns the pooled output [B, H] of ``encode`` without computing the last layer for the other tokens.

        With dropout, the last layer draws other masks than in ``encode``, from the same distribution.
        """
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training, first_only=True)
        return self.pooler(tf.cast(states, tf.float32)[:, tf.newaxis])

    def hidden_states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns the outputs of the embeddings and of every layer, float32 [B, S, H] each; the last as in ``encode``."""
        layout = layout_of(input_mask)
        found = [self.embedded(input_ids, segment_ids, training)]
        for layer in self.encoder.layer:
            found.append(run_layer(layer, tf.cast(found[-1], self.state_type), layout, training))
        shape = [layout.rows, layout.length, self.config.hidden_size]
        return [tf.reshape(tf.cast(states, tf.float32), shape) for states in found]

    def embedded(self, input_ids: tf.Tensor, segment_ids: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the first layer's input, float32 [B * S, H]."""
        return embed(self.embeddings, input_ids, self.token_types(segment_ids), training, self._first_position)

    def _below_last_layer(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, Layout]:
        states = tf.cast(self.embedded(input_ids, segment_ids, training), self.state_type)
        layout = layout_of(input_mask)
        for layer in self.encoder.layer[:-1]:
            states = run_layer(layer, states, layout, training)
        return states, layout

    @property
    def own_layers(self) -> list[tf_keras.layers.Layer]:
        """The layers, from the bottom, if each has its own variables; empty if all layers share theirs."""
        return list(self.encoder.layer)

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """Canonical name (Google's, below ``bert/``) -> variable."""
        found = {}
        for variable in self.weights:
            if variable is not self.clock.time:
                found[str(canonical_name(variable.name.split(f"{self.name}/", 1)[-1]))] = variable
        return found
