"""A task's loss from its logits: softmax cross entropy, with label weights, label smoothing and focal factor if wanted."""

import math
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task

EFFECTIVE_BETA = 0.999
CLASS_WEIGHTS = ("inverse", "log", "effective")


@dataclass(frozen=True)
class LossOptions:
    """What is done to the plain cross entropy of the tasks that are named; nothing by default.

    Attributes:
        class_weights: task name -> weights of its labels.
        label_smoothing: task name -> share of every label that is spread evenly over all labels.
        focal_gamma: task name -> power of (1 - p) that a row's cross entropy is multiplied by, p its label's probability
            (Lin et al. 2017).
    """

    class_weights: dict[str, list[float]] = field(default_factory=dict)
    label_smoothing: dict[str, float] = field(default_factory=dict)
    focal_gamma: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, share in self.label_smoothing.items():
            if not 0 <= share < 1:
                raise UserError(f"label_smoothing is {share} for {name}; it must be from 0 to below 1.")
        for name, power in self.focal_gamma.items():
            if not 0 <= power < math.inf:
                raise UserError(f"focal_gamma is {power} for {name}; it must be a number, 0 or more.")


def task_loss(logits: tf.Tensor, label_ids: tf.Tensor, task: Task, options: LossOptions) -> tf.Tensor:
    """Returns the mean loss of rows, float32 []; a weighted row counts as so many rows of the same batch.

    Args:
        logits: [B, C], or [M, B, C] for M looks at each row.
        label_ids: int32 [B].
        task: theirs.
        options: see ``LossOptions``.
    """
    values = tf.cast(logits, tf.float32)
    labels = one_hot = tf.one_hot(label_ids, task.num_labels)
    smoothing, focal_gamma = (part.get(task.name, 0.0) for part in (options.label_smoothing, options.focal_gamma))
    if smoothing:
        labels = (1.0 - smoothing) * one_hot + smoothing / task.num_labels
    if values.shape.rank == 3:
        labels = tf.broadcast_to(labels, tf.shape(values))
    rows = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=values)
    if focal_gamma:
        # From the logarithm, since p rounds to 1 long before its loss is 0, and the power has no slope there.
        wrong = -tf.math.expm1(tf.reduce_sum(one_hot * tf.nn.log_softmax(values), axis=-1))
        rows *= tf.maximum(wrong, 1e-7) ** focal_gamma
    if task.name in options.class_weights:
        rows *= tf.gather(tf.constant(options.class_weights[task.name], tf.float32), label_ids)
    return tf.reduce_mean(rows)


def class_weights(counts: np.ndarray, kind: str) -> list[float]:
    """Returns weights of labels that have been seen so many times; their mean over the rows is 1.

    Args:
        counts: rows of each label, int [C]; a label without rows is taken as seen once.
        kind: ``inverse`` (1 / n), ``log`` (1 / ln(1.02 + n / N); Paszke et al. 2016), or ``effective``
            ((1 - b) / (1 - b^n), b = 0.999; Cui et al. 2019).
    """
    seen = np.maximum(counts, 1).astype(float)
    weights = {
        "inverse": 1.0 / seen,
        "log": 1.0 / np.log(1.02 + seen / seen.sum()),
        "effective": (1.0 - EFFECTIVE_BETA) / (1.0 - EFFECTIVE_BETA**seen),
    }[kind]
    return [float(weight) for weight in weights * seen.sum() / (weights @ seen)]
