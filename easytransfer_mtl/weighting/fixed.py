"""Weights that the user sets."""

import math

import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import Signals, TaskWeighting


class Fixed(TaskWeighting):
    """L = sum of w_i L_i with constant w_i, used as given (not normalised).

    Option: ``task_weights``, required. Trap: with one task a step and Adam a constant factor largely cancels in the
    update; what it does change is clipping, and the mix of the tasks in Adam's moments. It means what it says in joint
    steps; in alternating ones the sampling rate (``task_sampling``) does.
    """

    def __init__(self, task_weights: list[float]) -> None:
        """Takes one weight per task.

        Raises:
            UserError: a weight is negative or not finite, or all are zero.
        """
        if any(not math.isfinite(weight) or weight < 0 for weight in task_weights) or not any(task_weights):
            raise UserError(f"task_weights {task_weights}: weights must be finite, not negative, and not all zero.")
        super().__init__(len(task_weights), "fixed")
        self.may_be_zero = 0 in task_weights
        self._weights = tf.constant(task_weights, tf.float32)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the constant weights [K]."""
        return self._weights
