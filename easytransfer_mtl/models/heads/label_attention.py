"""Head with label-wise attention over the tokens."""

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.features.masked import masked_softmax
from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import drawn_variable, own_variable


class LabelAttentionHead(Head, tf_keras.layers.Layer):
    """Logit c is w_c . m_c + b_c, m_c the mean of the states weighted by softmax(q_c . h_t) (Mullenbach et al. 2018).

    q_c is the label's embedding, which attends over real tokens. The convolution of the paper's CAML before the attention
    is left out: BERT's states already contain context. The head starts close to ``dense`` on the mean.
    """

    reads_sequence = True

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the variables."""
        super().__init__(name=facts.name)
        shape, seed = (facts.num_labels, facts.width), facts.clock.seed
        self.queries = drawn_variable(self, facts.name, "queries", shape, seed)
        self.readers = drawn_variable(self, facts.name, "kernel", shape, seed)
        self.offsets = own_variable(self, facts.name, "bias", np.zeros(facts.num_labels, np.float32))

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits [B, C] for ``inputs`` [B, S, F]."""
        scores = tf.transpose(tf.tensordot(inputs, self.queries, [[2], [1]]), [0, 2, 1])
        means = tf.matmul(masked_softmax(scores, input_mask[:, tf.newaxis]), inputs)
        return tf.reduce_sum(means * self.readers, axis=-1) + self.offsets
