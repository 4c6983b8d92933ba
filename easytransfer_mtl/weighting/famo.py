"""FAMO: weights that let all losses fall at the same relative rate, at the price of forward passes only."""

import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector

TINY = 1e-8


class FAMO(TaskWeighting):
    """Liu, Feng, Stone and Liu, "FAMO: fast adaptive multitask optimization", NeurIPS 2023.

    With z = softmax(xi) the model goes down c sum_i z_i ln(L_i - b_i), c = 1 / sum_i z_i / (L_i - b_i) held constant:
    weights c z_i / (L_i - b_i), here times K so that they sum to K. After the step the losses of the same batches are
    computed again, and xi goes down J_softmax' delta + gamma xi, delta_i the fall of ln(L_i - b_i).

    Options: ``gamma`` (0.001), the pull of xi to 0; ``lower_bounds`` b (0 for each); ``learning_rate`` (0.025) of the Adam
    that moves xi.

    L_i - b_i + 1e-8 stands for L_i - b_i everywhere, as in the authors' code.

    Trap: the second losses must see the same dropout masks, or delta is mostly noise: the train step gives them. Departs
    from the authors' code in the factor K, in counting a loss below its b as one at it, where theirs is no number, and in
    leaving clipping to the train step (``clip_norm_value``, 1 by default as theirs).

    Undefined with one task a step.
    """

    needs_joint_step = True
    needs_losses_after = True

    def __init__(
        self,
        num_tasks: int,
        gamma: float = 0.001,
        lower_bounds: list[float] | None = None,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        """Takes the options.

        Raises:
            UserError: gamma is negative.
        """
        if not gamma >= 0:
            raise UserError(f"famo: gamma {gamma} must be 0 or more.")
        super().__init__(num_tasks, "famo")
        self.gamma = gamma
        self._lower_bounds = tf.constant(lower_bounds or [0.0] * num_tasks, tf.float32)
        self.learned = LearnedVector([0.0] * num_tasks, learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns K c z / (L - b)."""
        parts = tf.nn.softmax(self.learned.value) / self._above(signals.losses)
        return self.num_tasks * parts / tf.reduce_sum(parts)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves xi by how far every loss fell.

        Raises:
            ValueError: there are no losses from after the step.
        """
        if losses_after is None:
            raise ValueError("FAMO needs the losses after the step")
        fall = tf.math.log(self._above(signals.losses)) - tf.math.log(self._above(losses_after))
        z = tf.nn.softmax(self.learned.value)
        gradient = z * (fall - tf.reduce_sum(z * fall))
        # Losses after the step may be no number where those before were.
        gradient = tf.where(tf.reduce_all(tf.math.is_finite(gradient)), gradient, 0.0)
        self.learned.descend(gradient + self.gamma * self.learned.value, signals.active)

    def _above(self, losses: tf.Tensor) -> tf.Tensor:
        return tf.maximum(losses - self._lower_bounds, 0.0) + TINY
