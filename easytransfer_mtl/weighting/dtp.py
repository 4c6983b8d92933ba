"""Dynamic task prioritisation: the harder a task still is, the more it weighs."""

import math

import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import Signals, TaskWeighting, state_variable

LOWEST, HIGHEST = 0.05, 0.99


class DTP(TaskWeighting):
    """Guo et al., "Dynamic task prioritization for multitask learning", ECCV 2018.

    k_i is a running mean of the task's indicator, w_i = -(1 - k_i)^gamma_i ln k_i. Within a task every row's cross entropy
    is multiplied by (1 - p)^focal_gamma, p the probability of its label (the paper's example level, the focal loss).

    The indicator is the accuracy on the training batches, started at chance (1 / C): free, noisy and, late in training,
    better than on unseen rows. ``indicators`` gives fixed values instead, for instance macro-F1 of earlier runs.

    Options: ``gamma`` a task (1), ``focal_gamma`` (1), ``smoothing`` a (0.1) in k <- a x + (1 - a) k, ``normalize``
    (False) to let the weights sum to K. The paper's own values of a and gamma are not known to us.

    Trap: unnormalised weights shrink as tasks are learned, by 5 to 10 times, and chance differs: 15 classes start at
    2.5, 3 classes at 0.7. k is cut to 0.05 to 0.99, since w has no bound at 0. No gradient flows through k.

    A task without a batch in the step keeps its k.
    """

    needs_accuracies = True

    def __init__(
        self,
        chance: list[float],
        gamma: list[float] | None = None,
        focal_gamma: float = 1.0,
        smoothing: float = 0.1,
        normalize: bool = False,
        indicators: list[float] | None = None,
    ) -> None:
        """Takes every task's chance level and the options.

        Raises:
            UserError: an option is out of its range.
        """
        gamma = gamma or [1.0] * len(chance)
        if not 0 < smoothing <= 1 or any(not 0 <= power < math.inf for power in [*gamma, focal_gamma]):
            raise UserError(
                f"dtp: smoothing {smoothing} must be above 0 and at most 1, gamma {gamma} and focal gamma {focal_gamma} "
                "0 or more."
            )
        if any(not 0 <= value <= 1 for value in indicators or []):
            raise UserError(f"dtp: indicators {indicators} must be from 0 to 1.")
        super().__init__(len(chance), "dtp")
        self.focal_gamma = focal_gamma
        self.smoothing = 0.0 if indicators else smoothing
        self.normalize = normalize
        self._gamma = tf.constant(gamma, tf.float32)
        self.indicators = state_variable(indicators or chance, "indicators")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns -(1 - k)^gamma ln k."""
        k = tf.clip_by_value(self.indicators, LOWEST, HIGHEST)
        weights = -((1.0 - k) ** self._gamma) * tf.math.log(k)
        return weights * self.num_tasks / tf.reduce_sum(weights) if self.normalize else weights

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves the active tasks' k."""
        moved = self.smoothing * signals.accuracies + (1.0 - self.smoothing) * self.indicators
        self.indicators.assign(tf.where(signals.active, moved, self.indicators))
