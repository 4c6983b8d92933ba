"""The TensorFlow BERT encoder: the variables of transformers' TFBertMainLayer, run by ``transformer``."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from transformers import BertConfig
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock, use_seeded_dropout
from easytransfer_mtl.encoders.embedding import embed
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.transformer import Layout, layout_of, run_layer

GRAPH_OPTIMIZER_OFF = "disable_meta_optimizer"


class BertEncoder(Encoder, TFBertMainLayer):
    """BERT with pooler. Pooled output is tanh of a dense layer on the last layer's first token.

    ``config.hidden_act`` is ``gelu_new`` for the tanh approximation that EasyTransfer always used, ``gelu`` for the
    exact one.

    Attributes:
        clock: drives dropout.
        state_type: type of the layers' states and matrix products in graphs that are traced from now on: float32, or
            bfloat16 (about twice as fast where the processor has it). Variables, sums, softmax, LayerNorm and what the
            encoder returns are float32 either way.
    """

    def __init__(self, config: BertConfig, clock: DropoutClock) -> None:
        """Builds all variables (values are arbitrary until ``assign_weights``) and puts seeded dropout in."""
        super().__init__(config, add_pooling_layer=True, name="bert")
        with tf.name_scope(self.name):
            self.build()
        self.clock = clock
        self.state_type = tf.float32
        use_seeded_dropout(self, clock)

    @contextmanager
    def computing_in(self, precision: str) -> Iterator[None]:
        """Sets ``state_type``, ``float32`` or ``bfloat16``, for graphs that are traced and run inside the ``with`` block.

        TensorFlow's graph optimizer is off there: it lengthens the first step by a fifth and makes no later one shorter.
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
        """Returns the last layer's states [B, S, H] and the pooled output [B, H] of int32 [B, S] inputs."""
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training)
        sequence = tf.reshape(tf.cast(states, tf.float32), [layout.rows, layout.length, states.shape[-1]])
        return sequence, self.pooler(sequence)

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns what ``encode`` has as pooled output [B, H], leaving out what the last layer does for other tokens.

        With dropout the last layer draws other masks than in ``encode``, of the same distribution.
        """
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training, first_only=True)
        return self.pooler(tf.cast(states, tf.float32)[:, tf.newaxis])

    def hidden_states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns the embeddings' output and every layer's, float32 [B, S, H] each; the last is ``encode``'s sequence."""
        layout = layout_of(input_mask)
        found = [embed(self.embeddings, input_ids, segment_ids, training)]
        for layer in self.encoder.layer:
            found.append(run_layer(layer, tf.cast(found[-1], self.state_type), layout, training))
        shape = [layout.rows, layout.length, self.config.hidden_size]
        return [tf.reshape(tf.cast(states, tf.float32), shape) for states in found]

    def _below_last_layer(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, Layout]:
        states = tf.cast(embed(self.embeddings, input_ids, segment_ids, training), self.state_type)
        layout = layout_of(input_mask)
        for layer in self.encoder.layer[:-1]:
            states = run_layer(layer, states, layout, training)
        return states, layout

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """The variables by canonical name (Google's, below ``bert/``)."""
        return {str(canonical_name(variable.name)): variable for variable in self.weights if variable is not self.clock.time}
