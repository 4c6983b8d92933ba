"""Constant weights set by the user."""

import math

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting


class Fixed(TaskWeighting):
    """L = sum of w_i L_i with constant w_i, used as given (not normalised).

    Option: ``task_weights``, required. Pitfall: with one task per step and Adam, a constant factor largely cancels in the
    update; it only changes clipping and the mix of the tasks in Adam's moments. The weights have their full effect in joint
    steps; in alternating steps, use the sampling rate (``task_sampling``).
    """

    works_alone = True
    starving_cure = None

    def __init__(self, task_weights: list[float]) -> None:
        """Raises UserError if a weight is negative or not finite, or all are zero."""
        if any(not math.isfinite(weight) or weight < 0 for weight in task_weights) or not any(task_weights):
            raise UserError(f"task_weights {task_weights}: weights must be finite, not negative, and not all zero.")
        super().__init__(len(task_weights), "fixed")
        self.may_be_zero = 0 in task_weights
        self._weights = tf.constant(task_weights, tf.float32)

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "Fixed":
        """Builds the weighting from a run's settings."""
        if not settings.task_weights:
            raise UserError("loss_weighting fixed needs --task_weights, for instance ocnli=1.5,ocemotion=1,tnews=1.")
        return cls(list(by_task(settings, "task_weights", run.task_names).values()))

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the constant weights [K]."""
        return self._weights
