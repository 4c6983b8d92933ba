"""Attention pooling."""

import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.masked import masked_softmax
from easytransfer_mtl.models.features.poolings import Pooling
from easytransfer_mtl.models.own_layers import dense_layer, drawn_variable


class Attention(Pooling):
    """The sum of a_t h_t over real tokens, a = softmax(q . tanh(W h_t + b)) (Yang et al. 2016, equations 5 to 7).

    It starts close to the mean, since q and W start small.
    """

    def __init__(self, scope: str, width: int, seed: int) -> None:
        """Takes the scope of its variables, the states' width, and the run's seed."""
        super().__init__(name="attention")
        self.hidden = dense_layer(scope, "hidden", width, width, seed, "tanh")
        self.query = drawn_variable(self, scope, "query", (width,), seed)

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the weighted sum [B, H]."""
        scores = tf.linalg.matvec(self.hidden(states), self.query)
        weights = masked_softmax(scores, encoded.input_mask)
        return tf.squeeze(tf.matmul(weights[:, tf.newaxis], states), axis=1)
