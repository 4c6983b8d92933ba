"""Values learned by a weighting, with their own optimizer."""

import tensorflow as tf

from easytransfer_mtl.weighting.base import state_variable

LEARNING_RATE = 0.025
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class LearnedVector(tf.Module):
    """One value per task, updated by Adam (Kingma and Ba 2015) separately from the model's optimizer: no decay, no clipping.

    A task that is not active in a step keeps its value, its moments and its step count.

    Attributes:
        value: float32 [K].
    """

    def __init__(self, start: list[float], learning_rate: float = LEARNING_RATE) -> None:
        super().__init__(name="learned")
        self.learning_rate = learning_rate
        self.value = state_variable(start, "value")
        zeros = [0.0] * len(start)
        self._momentum = state_variable(zeros, "momentum")
        self._velocity = state_variable(zeros, "velocity")
        self._count = state_variable(zeros, "count")

    def descend(self, gradient: tf.Tensor, active: tf.Tensor) -> None:
        """Does one Adam step with ``gradient`` (float32 [K]) for the active tasks (bool [K])."""
        count = self._count + 1.0
        momentum = BETA_1 * self._momentum + (1.0 - BETA_1) * gradient
        velocity = BETA_2 * self._velocity + (1.0 - BETA_2) * tf.square(gradient)
        direction = (momentum / (1.0 - BETA_1**count)) / (tf.sqrt(velocity / (1.0 - BETA_2**count)) + EPSILON)
        value = self.value - self.learning_rate * direction
        state = ((self.value, value), (self._momentum, momentum), (self._velocity, velocity), (self._count, count))
        for variable, moved in state:
            variable.assign(tf.where(active, moved, variable))
