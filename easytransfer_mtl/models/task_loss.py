"""A task's loss from its logits: softmax cross entropy, optionally with label weights, label smoothing, focal factor."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

EFFECTIVE_BETA = 0.999


@dataclass(frozen=True)
class TaskLoss:
    """The mean loss of a task's rows; by default plain softmax cross entropy.

    Attributes:
        num_labels: C.
        label_weights: one per label; a row with weight w counts like w rows of the batch. None for no weights.
        label_smoothing: share of every label that is spread evenly over all labels, 0 to below 1.
        focal_gamma: a row's cross entropy is multiplied by (1 - p)^focal_gamma, p its label's probability (Lin et al.
            2017).
    """

    num_labels: int
    label_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the loss is plain cross entropy."""
        return self.label_weights is None and not self.label_smoothing and not self.focal_gamma

    def __call__(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the rows, float32 [].

        Args:
            logits: [B, C], or [M, B, C] for M dropout masks of each row.
            label_ids: int32 [B].
        """
        values = tf.cast(logits, tf.float32)
        labels = one_hot = tf.one_hot(label_ids, self.num_labels)
        if self.label_smoothing:
            labels = (1.0 - self.label_smoothing) * one_hot + self.label_smoothing / self.num_labels
        if values.shape.rank == 3:
            labels = tf.broadcast_to(labels, tf.shape(values))
        rows = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=values)
        if self.focal_gamma:
            # 1 - p from log p, since p rounds to 1 long before the loss is 0, and the power has no gradient there.
            wrong = -tf.math.expm1(tf.reduce_sum(one_hot * tf.nn.log_softmax(values), axis=-1))
            rows *= tf.maximum(wrong, 1e-7) ** self.focal_gamma
        if self.label_weights is not None:
            rows *= tf.gather(tf.constant(self.label_weights, tf.float32), label_ids)
        return tf.reduce_mean(rows)


def label_weights(counts: np.ndarray, kind: str) -> tuple[float, ...]:
    """Returns one weight per label from the labels' frequencies; the mean weight over the rows is 1.

    Args:
        counts: rows of each label, int [C]; 0 is taken as 1.
        kind: ``inverse`` (1 / n), ``log`` (1 / ln(1.02 + n / N); Paszke et al. 2016), or ``effective``
            ((1 - b) / (1 - b^n), b = 0.999; Cui et al. 2019).
    """
    seen = np.maximum(counts, 1).astype(float)
    weights = {
        "inverse": 1.0 / seen,
        "log": 1.0 / np.log(1.02 + seen / seen.sum()),
        "effective": (1.0 - EFFECTIVE_BETA) / (1.0 - EFFECTIVE_BETA**seen),
    }[kind]
    return tuple(float(weight) for weight in weights * seen.sum() / (weights @ seen))
