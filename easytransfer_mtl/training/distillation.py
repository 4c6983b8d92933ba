"""The loss of learning a teacher's probabilities beside the labels."""

from dataclasses import dataclass

import tensorflow as tf

from easytransfer_mtl.config.train_settings import DistillationSettings

LEAST = 1e-30
"""Smallest probability of a teacher whose logarithm is taken; float32 rounds some to 0."""


@dataclass(frozen=True)
class Distillation:
    """h L + (1 - h) T^2 KL(q || p): L is the labels' loss, h the hard share, T the temperature.

    p = softmax(logits / T) is the student's, q = softmax(ln(teacher) / T) the teacher's distribution, which is the teacher's
    probabilities to the power 1/T, scaled to the sum 1. T^2 keeps the size of the second term's gradients when T changes.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", NIPS Deep Learning Workshop 2014
    (arXiv:1503.02531, 2015). They write the cross entropy of q and p, which differs from KL by the entropy of q, a constant:
    the gradients are the same, and KL is 0 for a student that equals its teacher.

    Attributes:
        temperature: T, above 0.
        hard_share: h, from 0 to below 1.
        unlabelled: whether batches may have rows without a label (``NO_LABEL``). These have the second term only: L is the
            sum over the labelled rows, divided by the number of all rows.
    """

    temperature: float
    hard_share: float
    unlabelled: bool = False

    def loss(self, logits: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        """Returns the mean of T^2 KL(q || p) over the rows, float32 [].

        Args:
            logits: the student's, [B, C], or [M, B, C] for M dropout masks of each row.
            probabilities: the teacher's, float32 [B, C].
        """
        log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32) / self.temperature)
        log_q = tf.nn.log_softmax(tf.math.log(tf.maximum(probabilities, LEAST)) / self.temperature)
        rows = tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=-1)
        return self.temperature**2 * tf.reduce_mean(rows)

    def mixture(self, labels_loss: tf.Tensor, teachers_loss: tf.Tensor) -> tf.Tensor:
        """Returns what is minimized, float32 []: h times the first plus 1 - h times the second loss."""
        return self.hard_share * labels_loss + (1.0 - self.hard_share) * teachers_loss


def expected_loss(logits: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross entropy, float32 [], of labels drawn with the teacher's probabilities.

    Args:
        logits: see ``Distillation.loss``.
        probabilities: see ``Distillation.loss``.
    """
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return -tf.reduce_mean(tf.reduce_sum(probabilities * log_p, axis=-1))


def expected_accuracy(logits: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the mean accuracy, float32 [], in the same way: the teacher's probability of the largest logit's label.

    Args:
        logits: see ``Distillation.loss``.
        probabilities: see ``Distillation.loss``.
    """
    chosen = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(probabilities)[-1])
    return tf.reduce_mean(tf.reduce_sum(probabilities * chosen, axis=-1))


def make_distillation(settings: DistillationSettings) -> Distillation | None:
    """Returns the distillation that the settings describe, or None without a teacher."""
    if not settings.teacher:
        return None
    unlabelled = settings.distillation_unlabelled_fp is not None
    return Distillation(settings.distillation_temperature, settings.distillation_hard_share, unlabelled)
