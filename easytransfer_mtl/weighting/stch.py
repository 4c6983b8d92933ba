"""STCH: a smooth form of the largest loss, whose minima reach every trade-off between the tasks."""

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting


class STCH(TaskWeighting):
    """Lin et al., "Smooth Tchebycheff scalarization for multi-objective optimization", ICML 2024.

    The objective is mu ln sum_i exp(l_i (L_i - z_i) / mu), here times K^2, with preferences l that sum to 1 and the ideal
    losses z. The weights are its derivatives, K^2 l_i s_i with s = softmax(l (L - z) / mu): they sum to K for equal
    preferences. Small mu approach the largest of the l_i (L_i - z_i) alone, large ones fixed weights K l_i.

    Options: ``mu`` (0.1; the paper tries 0.01 to 1), ``preferences`` per task (1 each; only their ratios count),
    ``ideal_losses`` z (0 for each task).

    Pitfall: losses are compared as they are, so that the task with the largest scale has nearly all the weight; z or the
    preferences make up for it. Differs from the official code for networks, which compares ln(L_i / n_i), n the mean losses
    of a warm-up: with its mu of 1 that is the fixed ratio of weights 1 / n_i. Weights may be 0 in float32.

    Exact for losses up to 1e8: what float32 rounds off a loss of that size, relative to mu, is the only error.

    Undefined with one task per step.
    """

    needs_joint_step = True
    may_be_zero = True
    starving_cure = "raise --stch_mu or its --stch_preferences"

    def __init__(
        self,
        num_tasks: int,
        mu: float = 0.1,
        preferences: list[float] | None = None,
        ideal_losses: list[float] | None = None,
    ) -> None:
        """Raises UserError if mu or a preference is not greater than 0."""
        preferences = preferences or [1.0] * num_tasks
        if not mu > 0 or any(not value > 0 for value in preferences):
            raise UserError(f"stch: mu {mu} and preferences {preferences} must be more than 0.")
        super().__init__(num_tasks, "stch")
        self.mu = mu
        self._preferences = tf.constant([value / sum(preferences) for value in preferences], tf.float64)
        self._ideal = tf.constant(ideal_losses or [0.0] * num_tasks, tf.float64)

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "STCH":
        """Builds the weighting from a run's settings."""
        names = run.task_names
        preferences = list(by_task(settings, "stch_preferences", names).values())
        return cls(
            run.num_tasks, settings.stch_mu, preferences, list(by_task(settings, "stch_ideal_losses", names).values())
        )

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns K^2 l softmax(l (L - z) / mu)."""
        above = self._preferences * (tf.cast(signals.losses, tf.float64) - self._ideal)
        parts = self._preferences * tf.nn.softmax(above / self.mu)
        return tf.cast(self.num_tasks**2 * parts, tf.float32)
