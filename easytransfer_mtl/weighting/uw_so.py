"""UW-SO: weights from the inverse losses, which are what uncertainty weighting comes to rest at."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting

TINY = 1e-8


class UWSO(TaskWeighting):
    """Kirchdorfer et al., "Analytical uncertainty-based loss weighting in multi-task learning", GCPR 2024.

    w = K softmax(1 / (T L_i)): the inverse losses, which are the weights at which ``uncertainty`` comes to rest, made to sum
    to K by a softmax with the temperature T. No gradient flows through them.

    Option: ``temperature`` T (2). The paper chooses it by search for every data set; large values approach ``equal``.

    Pitfall: 1 / L is unbounded. Once a loss is below about T / 20 its task has all the weight and the others, which have
    exactly 0 in float32, stop. Differs from the paper in the factor K, and in taking losses below 1e-8 as 1e-8. Exact in
    float32 for losses from 1e-8 to 1e8.

    Undefined with one task per step.
    """

    needs_joint_step = True
    may_be_zero = True
    starving_cure = "raise --uw_so_temperature"

    def __init__(self, num_tasks: int, temperature: float = 2.0) -> None:
        """Raises UserError if the temperature is not greater than 0."""
        if not temperature > 0:
            raise UserError(f"uw_so: temperature {temperature} must be more than 0.")
        super().__init__(num_tasks, "uw_so")
        self.temperature = temperature

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "UWSO":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.uw_so_temperature)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns K softmax(1 / (T L))."""
        inverse = 1.0 / tf.maximum(tf.cast(signals.losses, tf.float64), TINY)
        return tf.cast(self.num_tasks * tf.nn.softmax(inverse / self.temperature), tf.float32)
