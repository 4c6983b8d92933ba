"""Penalties that separate the shared and the private part of a representation: their overlap, and a task adversary."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.models.encoded import POOLED, Encoded, Reads
from easytransfer_mtl.models.sharing.parts import dense


def row_states(encoded: Encoded, reads: Reads) -> tf.Tensor:
    """Returns one vector per row [B, H]: the pooled output if the task reads it, else the mean over the real tokens."""
    if POOLED in reads:
        return encoded.pooled
    mask = tf.cast(encoded.input_mask, tf.float32)[:, :, tf.newaxis]
    return tf.reduce_sum(mask * encoded.sequence, axis=1) / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)


def overlap(shared: tf.Tensor, private: tf.Tensor) -> tf.Tensor:
    """Returns |S^T P|_F^2 with the rows of S and P scaled to length 1 and S^T P divided by B: from 0 to 1, float32 [].

    Bousmalis et al. (NeurIPS 2016, "Domain Separation Networks", eq. 5). Their form grows with the rows' lengths and with
    B; this one has the same value for a batch and for two copies of it. It is computed as the sum of S S^T * P P^T; S and P
    may have different widths.

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
    """A linear task classifier, which the encoder is trained to mislead (Liu, Qiu and Huang, ACL 2017, eq. 12).

    The classifier is trained with its cross entropy; the encoder gets the reversed gradient times ``weight``. An
    alternating step shows the classifier one task only, so that it may follow the most recent tasks; a joint step shows it
    all tasks.
    """

    def __init__(self, width: int, num_tasks: int, weight: float, clock: DropoutClock) -> None:
        """Takes the width of the shared vectors, the number of tasks, the reversed gradient's factor, and the clock."""
        super().__init__(name="adversary")
        self.weight = weight
        self.classifier = dense("discriminator", width, num_tasks, clock)

    def loss(self, rows: tf.Tensor, task: int) -> tf.Tensor:
        """Returns the classifier's mean cross entropy on one task's vectors [B, H], float32 []."""
        scores = tf.nn.log_softmax(self.classifier(reversed_gradient(rows, self.weight)))
        return -tf.reduce_mean(scores[:, task])
