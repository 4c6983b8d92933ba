"""FAMO: weights that let all losses fall at the same relative rate, for the cost of extra forward passes only."""

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector

TINY = 1e-8


class FAMO(TaskWeighting):
    """Liu, Feng, Stone and Liu, "FAMO: fast adaptive multitask optimization", NeurIPS 2023.

    With z = softmax(xi) the model minimises c sum_i z_i ln(L_i - b_i), c = 1 / sum_i z_i / (L_i - b_i) held constant. The
    weights are c z_i / (L_i - b_i), here multiplied by K so that they sum to K. After the step the losses on the same
    batches are computed again, and xi is updated with the gradient J_softmax' delta + gamma xi, where delta_i is the
    decrease of ln(L_i - b_i).

    Options: ``gamma`` (0.001), the decay of xi towards 0; ``lower_bounds`` b (0 for each task); ``learning_rate`` (0.025) of
    xi's Adam optimizer.

    L_i - b_i + 1e-8 is used for L_i - b_i everywhere, as in the authors' code.

    Pitfall: the second losses must use the same dropout masks, or delta is mostly noise; the train step does so. Differs
    from the authors' code in the factor K, in treating a loss below its b as equal to b (theirs gives NaN), and in leaving
    clipping to the train step (``clip_norm_value``, by default 1 as in theirs).

    Undefined with one task per step.
    """

    needs_joint_step = True
    needs_losses_after = True
    starving_cure = (
        "raise --famo_lower_bounds of the task with the most weight to just below its loss, or raise --famo_gamma"
    )

    def __init__(
        self,
        num_tasks: int,
        gamma: float = 0.001,
        lower_bounds: list[float] | None = None,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        """Raises UserError if gamma is negative."""
        if not gamma >= 0:
            raise UserError(f"famo: gamma {gamma} must be 0 or more.")
        super().__init__(num_tasks, "famo")
        self.gamma = gamma
        self._lower_bounds = tf.constant(lower_bounds or [0.0] * num_tasks, tf.float32)
        self.learned = LearnedVector([0.0] * num_tasks, learning_rate)

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "FAMO":
        """Builds the weighting from a run's settings."""
        bounds = list(by_task(settings, "famo_lower_bounds", run.task_names).values())
        return cls(run.num_tasks, settings.famo_gamma, bounds, settings.weighting_learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns K c z / (L - b)."""
        parts = tf.nn.softmax(self.learned.value) / self._above(signals.losses)
        return self.num_tasks * parts / tf.reduce_sum(parts)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Updates xi from the decrease of every loss.

        Raises:
            ValueError: ``losses_after`` is None.
        """
        if losses_after is None:
            raise ValueError("FAMO needs the losses after the step")
        fall = tf.math.log(self._above(signals.losses)) - tf.math.log(self._above(losses_after))
        z = tf.nn.softmax(self.learned.value)
        gradient = z * (fall - tf.reduce_sum(z * fall))
        # The losses after the step can be NaN although those before it were finite.
        gradient = tf.where(tf.reduce_all(tf.math.is_finite(gradient)), gradient, 0.0)
        self.learned.descend(gradient + self.gamma * self.learned.value, signals.active)

    def _above(self, losses: tf.Tensor) -> tf.Tensor:
        return tf.maximum(losses - self._lower_bounds, 0.0) + TINY
