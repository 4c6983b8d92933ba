"""DeBERTa, versions 1 and 2: transformers' own layers in float32, since their attention differs from BERT's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.models.bert.modeling_tf_bert import TFBertPooler
from transformers.models.deberta.modeling_tf_deberta import TFDebertaMainLayer, TFDebertaStableDropout
from transformers.models.deberta_v2.modeling_tf_deberta_v2 import TFDebertaV2MainLayer, TFDebertaV2StableDropout

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock, use_seeded_dropout
from easytransfer_mtl.encoders.interface import Encoder

MAIN_LAYERS = {"deberta": TFDebertaMainLayer, "deberta-v2": TFDebertaV2MainLayer}
STABLE_DROPOUTS = (TFDebertaStableDropout, TFDebertaV2StableDropout)


class DebertaEncoder(Encoder, tf_keras.layers.Layer):
    """DeBERTa with BERT's pooler, which DeBERTa itself lacks."""

    state_type = tf.float32

    def __init__(self, config: PretrainedConfig, clock: DropoutClock, name: str = "deberta") -> None:
        """Builds all variables (values are arbitrary until ``assign_weights``) and inserts seeded dropout.

        ``name`` is the variables' scope and part of the names of the dropout's streams.
        """
        super().__init__(name=name)
        self.config, self.clock = config, clock
        self.main = MAIN_LAYERS[config.model_type](config, name="deberta")
        bert_config: Any = config
        self.pooler = TFBertPooler(bert_config, name="pooler")
        for scope, layer in ((name, self.main), (f"{name}/pooler", self.pooler)):
            with tf.name_scope(scope):
                layer.build(None)
        use_seeded_dropout(self, clock, STABLE_DROPOUTS)

    def encode(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last layer's states [B, S, H] and the pooled output [B, H] for int32 [B, S] inputs."""
        sequence = self.hidden_states(input_ids, input_mask, segment_ids, training)[-1]
        return sequence, self.pooler(sequence)

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns the pooled output [B, H] of ``encode``."""
        return self.encode(input_ids, input_mask, segment_ids, training)[1]

    def hidden_states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns the outputs of the embeddings and of every layer, float32 [B, S, H] each."""
        return list(self._states(input_ids, input_mask, self.token_types(segment_ids), training))

    # transformers' code branches on tensors, which needs AutoGraph; train steps have it off.
    @tf.function(reduce_retracing=True, experimental_attributes={"_noinline": True})
    def _states(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, token_types: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, ...]:
        outputs = self.main(
            input_ids=input_ids,
            attention_mask=input_mask,
            token_type_ids=token_types,
            output_hidden_states=True,
            return_dict=True,
            training=training,
        )
        return outputs.hidden_states

    @contextmanager
    def computing_in(self, precision: str) -> Iterator[None]:
        """Does nothing: ``check_precision`` has already refused everything but ``float32``."""
        del precision
        yield

    @property
    def own_layers(self) -> list[tf_keras.layers.Layer]:
        """The layers, from the bottom."""
        return list(self.main.encoder.layer)

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """Canonical name -> variable."""
        own = [variable for variable in self.weights if variable is not self.clock.time]
        return {str(canonical_name(variable.name.split(f"{self.name}/", 1)[-1])): variable for variable in own}
