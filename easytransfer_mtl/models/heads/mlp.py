"""Head with one hidden layer."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import dense_layer


class MlpHead(Head, tf_keras.layers.Layer):
    """Logits are W2 dropout(f(W1 x + b1)) + b2."""

    per_token = True
    size_of = "width of the hidden layer"
    default_size = 256
    activations = ("tanh", "relu", "gelu")

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the layers."""
        super().__init__(name=facts.name)
        seed = facts.clock.seed
        self.hidden = dense_layer(facts.name, "hidden", facts.width, facts.size, seed, facts.activation)
        self.dropout = facts.dropout("hidden")
        self.logits = dense_layer(facts.name, "logits", facts.size, facts.num_labels, seed)

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns logits [..., C] for ``inputs`` [..., F]."""
        return self.logits(self.dropout(self.hidden(inputs), training=training))
