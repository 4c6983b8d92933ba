"""Nash-MTL: the update is the solution of a bargaining game between the tasks."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, state_variable
from easytransfer_mtl.weighting.gram import GramWeighting, cosines_of, norms_of

ITERATIONS = 200
SMALLEST = 1e-12
"""Smaller eigenvalues of the cosine matrix are raised to this: b is unbounded if gradients cancel."""


class Nash(GramWeighting):
    """Navon et al., "Multi-task learning as a bargaining game", ICML 2022.

    The weights a > 0 with G a = 1 / a, element by element: the bargaining solution. ||sum a_i g_i||^2 = K, whatever the
    scales of the losses; the combination is then shortened to ``max_norm``, in every step.

    Options: ``max_norm`` (1; 0 for no limit; measured on the variables of the Gram matrix), ``update_every`` (1), the number
    of steps between updates of a; the gradients are still computed in every step, for ``max_norm``.

    Solved by Newton's method on a'Ga / 2 - sum ln a, which is convex and self-concordant. The official code instead uses a
    convex optimisation package and keeps the old weights if it fails.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: the weights are about 1 / gradient norm, so the step does not shrink as training converges. If the gradients
    cancel, the weights grow, here to at most a million times that. A task with a zero gradient has weight 1.
    """

    def __init__(self, num_tasks: int, max_norm: float = 1.0, update_every: int = 1) -> None:
        """Raises UserError if an option is out of range."""
        if not max_norm >= 0 or update_every < 1:
            raise UserError(f"nash: max_norm {max_norm} must be 0 or more, update_every {update_every} 1 or more.")
        super().__init__(num_tasks, "nash")
        self.max_norm, self.update_every = max_norm, update_every
        self.bargained = state_variable([1.0] * num_tasks, "bargained")
        self.next_update = state_variable(0.0, "next_update")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "Nash":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.nash_max_norm, settings.nash_update_every)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns a, shortened to ``max_norm``."""
        weights = self._bargained(signals)
        if not self.max_norm:
            return weights
        exact, gram = (
            tf.cast(weights, tf.float64),
            tf.cast(signals.gram, tf.float64),
        )  # float64: gradients may nearly cancel
        length = tf.sqrt(tf.maximum(tf.tensordot(exact, tf.linalg.matvec(gram, exact), 1), 0.0))
        return weights * tf.cast(self.max_norm / tf.maximum(length, self.max_norm), tf.float32)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Stores a until the next update."""
        if self.update_every > 1:
            step = tf.cast(signals.step, tf.float32)
            self.bargained.assign(self._bargained(signals))
            self.next_update.assign(tf.where(step >= self.next_update, step + self.update_every, self.next_update))

    def _bargained(self, signals: Signals) -> tf.Tensor:
        new = super().weights(signals)
        if self.update_every == 1:
            return new
        return tf.where(tf.cast(signals.step, tf.float32) >= self.next_update, new, self.bargained)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns a before it is shortened."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if moving.any():
            part = gram[np.ix_(moving, moving)]
            weights[moving] = _bargain(cosines_of(part)) / norms_of(part)
        return weights


def _bargain(cosines: np.ndarray) -> np.ndarray:
    """Returns b > 0 with C b = 1 / b."""
    values, vectors = np.linalg.eigh(cosines)
    cosines = (vectors * np.maximum(values, SMALLEST)) @ vectors.T
    point, before = np.ones(len(cosines)), np.inf
    for _ in range(ITERATIONS):
        slope = cosines @ point - 1.0 / point
        step = np.linalg.solve(cosines + np.diag(1.0 / point**2), slope)
        decrement = np.sqrt(max(float(slope @ step), 0.0))
        # Below 0.25 the full Newton step converges quadratically; above, the damped step keeps all elements positive.
        fast = decrement < 0.25
        if fast and decrement >= before:  # only rounding errors are left
            break
        point, before = point - (step if fast else step / (1.0 + decrement)), decrement
    return point
