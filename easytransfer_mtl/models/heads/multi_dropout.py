"""One dense layer under several dropout masks."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import dense_layer


class MultiDropoutHead(Head, tf_keras.layers.Layer):
    """Multi-sample dropout (Inoue 2019): in training the loss is the mean of those under M masks of what the head reads.

    In training it therefore returns M logits for each row, [M, B, C], which losses take the mean over. (The mean of the
    logits would be another method: of a linear layer it is a single, weaker dropout.) Without dropout it is ``dense``.
    """

    drops_itself = True
    size_of = "number of masks"
    default_size = 5

    def __init__(self, facts: HeadFacts) -> None:
        """Builds it."""
        super().__init__(name=facts.name)
        self.samples = facts.size
        self.dropout = facts.dropout("samples")
        self.logits = dense_layer(facts.name, "logits", facts.width, facts.num_labels, facts.clock.seed)

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns logits of [B, F]: [B, C], in training [M, B, C]."""
        if not training:
            return self.logits(inputs)
        return self.logits(self.dropout(tf.tile(inputs[tf.newaxis], [self.samples, 1, 1]), training=True))
