"""One dense layer."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.seeding import truncated_normal


class DenseHead(Head, tf_keras.layers.Dense):
    """The baseline's head: logits are W x + b, W starting as truncated normal 0.02, b as 0."""

    def __init__(self, facts: HeadFacts) -> None:
        """Builds it."""
        super().__init__(facts.num_labels, name=facts.name)
        with tf.name_scope(facts.name):
            self.build((None, facts.width))
        kernel = truncated_normal((facts.width, facts.num_labels), 0.02, facts.clock.seed, "head", facts.name)
        self.set_weights([kernel, self.get_weights()[1]])

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns logits [B, C] of [B, F]."""
        return super().call(inputs)
