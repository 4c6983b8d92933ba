"""IMTL-L: weights that bring all weighted losses to the same size."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector


class IMTLL(TaskWeighting):
    """Liu et al., "Towards impartial multi-task learning", ICLR 2021, the loss-balancing half.

    The objective is the sum of e^s_i L_i - s_i with learned s; the weight is e^s. At the optimum of s it is 1 / L, as for a
    sum of log losses, and twice that of ``uncertainty``, whose s has the opposite sign. The weights are not normalised.

    Options: ``learning_rate`` (0.025) of s's Adam optimizer; s starts at 0.

    Pitfall: as for ``uncertainty``, s would hardly change at the model's learning rate. Differs from the paper only in
    that s has its own optimizer, and that a task without a batch in the step keeps its s.
    """

    def __init__(self, num_tasks: int, learning_rate: float = LEARNING_RATE) -> None:
        super().__init__(num_tasks, "imtl_l")
        self.log_scale = LearnedVector([0.0] * num_tasks, learning_rate)

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "IMTLL":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.weighting_learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns e^s."""
        return tf.exp(self.log_scale.value)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Updates s of the active tasks with the gradient of the objective."""
        self.log_scale.descend(self.weights(signals) * signals.losses - 1.0, signals.active)
