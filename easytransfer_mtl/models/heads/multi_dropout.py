"""Head of one dense layer with several dropout masks."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import dense_layer


class MultiDropoutHead(Head, tf_keras.layers.Layer):
    """Multi-sample dropout (Inoue 2019): the training loss is the mean of the losses with M dropout masks of the input.

    In training the head therefore returns logits [M, B, C], and losses average over M. (The mean of the logits would be
    another method: for a linear layer it equals a single, weaker dropout.) Without dropout the head is ``dense``.
    """

    per_token = True
    drops_itself = True
    size_of = "number of masks"
    default_size = 5

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the layers."""
        super().__init__(name=facts.name)
        self.samples = facts.size
        self.dropout = facts.dropout("samples")
        self.logits = dense_layer(facts.name, "logits", facts.width, facts.num_labels, facts.clock.seed)

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns logits for ``inputs`` [B, F]: [B, C], in training [M, B, C]; the same of [B, S, F]."""
        if not training:
            return self.logits(inputs)
        return self.logits(
            self.dropout(tf.tile(inputs[tf.newaxis], [self.samples] + [1] * inputs.shape.rank), training=True)
        )
