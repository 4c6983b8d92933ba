"""Nash-MTL: the tasks bargain over the step."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import Signals, state_variable
from easytransfer_mtl.weighting.gram import GramWeighting, cosines_of, norms_of

ITERATIONS = 200
SMALLEST = 1e-12
"""Eigenvalues of cosines below this count as this: b has no bound where gradients cancel."""


class Nash(GramWeighting):
    """Navon et al., "Multi-task learning as a bargaining game", ICML 2022.

    The weights a > 0 with G a = 1 / a, element by element: the bargaining solution. ||sum a_i g_i||^2 = K, whatever the
    losses' scales; then the combination is shortened to ``max_norm``, in every step.

    Options: ``max_norm`` (1; 0 for no limit; on the variables that the Gram matrix is of), ``update_every`` steps (1;
    between updates a stays; the gradients are computed all the same, for ``max_norm``).

    Solved by Newton's method on a'Ga / 2 - sum ln a, which is convex and self-concordant; no convex-optimisation package,
    and no keeping of old weights when one fails, as in the official code.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    Trap: the weights are about one over the gradients' norms, so the step no longer shrinks as training converges; where
    the gradients cancel they grow, here to a million times that at most. A task whose gradient is zero has weight 1.
    """

    def __init__(self, num_tasks: int, max_norm: float = 1.0, update_every: int = 1) -> None:
        """Takes the options.

        Raises:
            UserError: one of them is out of its range.
        """
        if not max_norm >= 0 or update_every < 1:
            raise UserError(f"nash: max_norm {max_norm} must be 0 or more, update_every {update_every} 1 or more.")
        super().__init__(num_tasks, "nash")
        self.max_norm, self.update_every = max_norm, update_every
        self.bargained = state_variable([1.0] * num_tasks, "bargained")
        self.next_update = state_variable(0.0, "next_update")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns a, shortened."""
        weights = self._bargained(signals)
        if not self.max_norm:
            return weights
        exact, gram = tf.cast(weights, tf.float64), tf.cast(signals.gram, tf.float64)  # where the gradients nearly cancel
        length = tf.sqrt(tf.maximum(tf.tensordot(exact, tf.linalg.matvec(gram, exact), 1), 0.0))
        return weights * tf.cast(self.max_norm / tf.maximum(length, self.max_norm), tf.float32)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Keeps a for the steps until the next update."""
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
        """Returns a, not shortened."""
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
        decrement = np.sqrt(max(slope @ step, 0.0))
        # Below a quarter Newton's full step converges quadratically; before, the damped one always stays positive.
        fast = decrement < 0.25
        if fast and decrement >= before:  # no more than rounding is left
            break
        point, before = point - (step if fast else step / (1.0 + decrement)), decrement
    return point
