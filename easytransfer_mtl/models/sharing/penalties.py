"""What keeps the shared and the private part of a representation apart: their overlap, and an adversary."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.models.encoded import POOLED, Encoded, Reads
from easytransfer_mtl.models.sharing.parts import dense


def row_states(encoded: Encoded, reads: Reads) -> tf.Tensor:
    """Returns one vector a row of what a task reads: the pooled output, or else the mean of the tokens' states [B, H]."""
    if POOLED in reads:
        return encoded.pooled
    mask = tf.cast(encoded.input_mask, tf.float32)[:, :, tf.newaxis]
    return tf.reduce_sum(mask * encoded.sequence, axis=1) / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)


def overlap(shared: tf.Tensor, private: tf.Tensor) -> tf.Tensor:
    """Returns |S^T P|_F^2, the rows of S and P scaled to length 1 and the product divided by B: from 0 to 1, float32 [].

    Bousmalis et al. (NeurIPS 2016, "Domain Separation Networks", eq. 5). In their form it grows with the rows and with B;
    here it is the same for a batch and for two copies of it. It is computed as the sum of S S^T * P P^T, so that the
    widths need not agree.

    Args:
        shared: [B, H].
        private: [B, P].
    """
    one, other = (tf.math.l2_normalize(part, axis=1) for part in (shared, private))
    rows = tf.cast(tf.shape(shared)[0], tf.float32)
    return tf.reduce_sum(tf.matmul(one, one, transpose_b=True) * tf.matmul(other, other, transpose_b=True)) / rows**2


@own_graph
def reversed_gradient(inputs: tf.Tensor, factor: float) -> tf.Tensor:
    """Returns ``inputs``; its gradient is the upstream one times -``factor`` (Ganin and Lempitsky, ICML 2015)."""

    @tf.custom_gradient
    def same(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.identity(values), lambda upstream: -factor * upstream

    return same(inputs)


class TaskAdversary(tf_keras.layers.Layer):
    """A linear classifier of tasks, which the encoder is trained to mislead (Liu, Qiu and Huang, ACL 2017, eq. 12).

    The classifier's own gradient is that of its cross entropy; the encoder gets it reversed, times the weight. An
    alternating step shows it one task only, so that it may follow the last tasks; joint steps show it all.
    """

    def __init__(self, width: int, num_tasks: int, weight: float, clock: DropoutClock) -> None:
        """Takes the width of the shared vectors, K, the factor of the reversed gradient, and the clock."""
        super().__init__(name="adversary")
        self.weight = weight
        self.classifier = dense("discriminator", width, num_tasks, clock)

    def loss(self, rows: tf.Tensor, task: int) -> tf.Tensor:
        """Returns the classifier's mean cross entropy on vectors [B, H] of one task, float32 []."""
        scores = tf.nn.log_softmax(self.classifier(reversed_gradient(rows, self.weight)))
        return -tf.reduce_mean(scores[:, task])
