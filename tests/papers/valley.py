"""Two losses of two numbers with a steep valley between them and a curved front below.

From Liu et al., "Conflict-averse gradient descent", NeurIPS 2021; the Nash-MTL and FAMO papers weaken the first loss by ten.
Every point of the front, x2 = -8.355 and x1 from -7 to 7, is a best compromise; in the valley the gradients conflict.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from easytransfer_mtl.weighting import FAMO, Equal, Fixed, Signals, TaskWeighting
from easytransfer_mtl.weighting.gram import GramWeighting

LOWER = 5e-6
FRONT = -8.355
EVERY = 100
"""Steps between the points that are kept, and looked at for the front."""
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def losses_and_gradients(x1: float, x2: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns both losses [2] and their gradients [2, 2] at a point.

    Args:
        x1: first coordinate.
        x2: second coordinate.
        scale: of the first loss.
    """
    tanh, half = math.tanh(x2), math.tanh(0.5 * x2)
    slope, half_slope = 1.0 - tanh * tanh, 0.5 * (1.0 - half * half)
    above, below = max(half, 0.0), max(-half, 0.0)
    above_slope, below_slope = (half_slope, 0.0) if x2 > 0 else (0.0, -half_slope)
    losses, gradients = [], []
    for inner, sign, centre in ((0.5 * (-x1 - 7.0) + tanh, 1.0, 7.0), (0.5 * (-x1 + 3.0) - tanh + 2.0, -1.0, -7.0)):
        steep = math.log(max(abs(inner), LOWER)) + 6.0
        factor = 1.0 / inner if abs(inner) > LOWER else 0.0
        bowl = ((x1 - centre) ** 2 + 0.1 * (x2 + 8.0) ** 2) / 10.0 - 20.0
        losses.append(above * steep + below * bowl)
        along = above * -0.5 * factor + below * 0.2 * (x1 - centre)
        across = above * sign * slope * factor + above_slope * steep + below * 0.02 * (x2 + 8.0) + below_slope * bowl
        gradients.append([along, across])
    weights = np.array([scale, 1.0])
    return np.array(losses) * weights, np.array(gradients) * weights[:, None]


@dataclass(frozen=True)
class Path:
    """Where Adam went: points [N, 2], and the steps it took in all."""

    points: np.ndarray
    steps: int

    @property
    def reached_front(self) -> bool:
        """Whether the last point is within 0.1 of the front."""
        return bool(abs(self.points[-1, 1] - FRONT) < 0.1)


def descend(
    weighting: TaskWeighting, start: tuple[float, float], scale: float, steps: int, learning_rate: float = 0.001
) -> Path:
    """Goes down the weighted losses with Adam, until the front is reached.

    Args:
        weighting: of two tasks; its own code decides every step.
        start: the first point.
        scale: of the first loss.
        steps: at most so many.
        learning_rate: Adam's; the papers' is the default.
    """
    point, momentum, velocity = np.array(start), np.zeros(2), np.zeros(2)
    weights_at = _weigher(weighting)
    points = []
    for step in range(steps):
        losses, gradients = losses_and_gradients(point[0], point[1], scale)
        if step % EVERY == 0:
            points.append(point)
            if abs(point[1] - FRONT) < 0.1:
                break
        gradient = weights_at(losses, gradients, step) @ gradients
        momentum = BETA_1 * momentum + (1.0 - BETA_1) * gradient
        velocity = BETA_2 * velocity + (1.0 - BETA_2) * gradient * gradient
        corrected = momentum / (1.0 - BETA_1 ** (step + 1)), velocity / (1.0 - BETA_2 ** (step + 1))
        point = point - learning_rate * corrected[0] / (np.sqrt(corrected[1]) + EPSILON)
    return Path(np.array([*points, point]), step + 1)


def _weigher(weighting: TaskWeighting) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Returns a function of losses, gradients and step that gives the weights, and lets FAMO see the losses that follow."""
    if isinstance(weighting, GramWeighting):
        return lambda losses, gradients, step: weighting.solve(gradients @ gradients.T, losses, step)

    if isinstance(weighting, (Equal, Fixed)):
        constant = weighting.weights(Signals(tf.zeros(2), tf.ones(2, tf.bool), tf.constant(0, tf.int64))).numpy()
        return lambda losses, gradients, step: constant

    @tf.function(autograph=False)
    def in_graph(before: tf.Tensor, losses: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        active = tf.ones(2, tf.bool)
        if weighting.needs_losses_after:
            weighting.update(Signals(before, active, step - 1), losses)
        return weighting.weights(Signals(losses, active, step))

    pair = tf.TensorSpec([2])
    weights_of = in_graph.get_concrete_function(pair, pair, tf.TensorSpec([], tf.int64))  # called 30,000 times
    last: list[tf.Tensor] = []

    def weights_at(losses: np.ndarray, gradients: np.ndarray, step: int) -> np.ndarray:
        now = tf.constant(losses, tf.float32)
        before = last.pop() if last else now
        last.append(now)
        return weights_of(before, now, tf.constant(step, tf.int64)).numpy().astype(np.float64)

    return weights_at


def famo(scale: float) -> FAMO:
    """Returns FAMO as its paper ran it here: bounds below both losses, no pull."""
    return FAMO(2, gamma=0.0, lower_bounds=[-21.0 * scale, -21.0])
