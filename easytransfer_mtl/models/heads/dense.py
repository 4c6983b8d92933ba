"""Head of one dense layer."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import STDDEV, Drawn


class DenseHead(Head, tf_keras.layers.Dense):
    """The baseline's head: logits W x + b; W starts as truncated normal with standard deviation 0.02, b as 0."""

    per_token = True

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the layer."""
        start = Drawn(STDDEV, facts.clock.seed, "head", facts.name)
        super().__init__(facts.num_labels, kernel_initializer=start, name=facts.name)
        with tf.name_scope(facts.name):
            self.build((None, facts.width))

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns logits [..., C] for ``inputs`` [..., F]."""
        return super().call(inputs)
