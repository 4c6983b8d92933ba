"""Learned weighted sum of all layers."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.sources import Source
from easytransfer_mtl.models.own_layers import own_variable


class ScalarMix(Source):
    """gamma * sum of s_l h_l, s = softmax(w), over the embeddings and every layer (Peters et al. 2018, equation 1).

    It starts as the plain mean. The paper's LayerNorm before the sum is left out: BERT's layers end with one. At the usual
    learning rate of an encoder w hardly moves: raise the task's rate with ``head_lr``.
    """

    def __init__(self, scope: str, num_layers: int) -> None:
        """Takes the scope of its variables and the number of encoder layers."""
        super().__init__(name="mix")
        self.shares = own_variable(self, scope, "layer_shares", np.zeros(num_layers + 1, np.float32))
        self.gamma = own_variable(self, scope, "gamma", np.ones((), np.float32))

    def states(self, encoded: Encoded) -> tf.Tensor:
        """Returns the weighted sum [B, S, H]."""
        shares = tf.unstack(self.gamma * tf.nn.softmax(self.shares))
        return tf.add_n([share * states for share, states in zip(shares, encoded.layers, strict=True)])
