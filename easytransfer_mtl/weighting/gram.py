"""What the methods share that find weights in the Gram matrix of the task gradients, and the least squares they need.

The solvers are NumPy in float64 on K x K numbers: exact to rounding, for any K, in well under a millisecond.
"""

import numpy as np
import tensorflow as tf
from scipy.optimize import nnls

from easytransfer_mtl.weighting.base import Signals, TaskWeighting

RIDGE = 1e-10
"""Added to the diagonal of a Gram matrix of scale 1, so that equal gradients share their weight; above rounding, no more."""

SMALLEST = 1e-6
"""Eigenvalues of cosines below this are rounding."""


class GramWeighting(TaskWeighting):
    """A function of the Gram matrix G of the unweighted losses' gradients. Undefined with one task a step.

    Subclasses override ``solve``.
    """

    needs_gram = True
    needs_joint_step = True

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns ``solve``'s weights; NaN where the Gram matrix is not finite."""

        def weights_of(gram: np.ndarray, losses: np.ndarray, step: np.ndarray) -> np.ndarray:
            if not (np.isfinite(gram).all() and np.isfinite(losses).all()):
                return np.full(self.num_tasks, np.nan, np.float32)
            return self.solve(gram.astype(np.float64), losses.astype(np.float64), int(step)).astype(np.float32)

        weights = tf.numpy_function(weights_of, [signals.gram, signals.losses, signals.step], tf.float32)
        return tf.ensure_shape(weights, [self.num_tasks])

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights of a step, float64 [K].

        Args:
            gram: float64 [K, K], finite.
            losses: float64 [K].
            step: names the step's random stream, where the method has one.
        """
        raise NotImplementedError


def norms_of(gram: np.ndarray) -> np.ndarray:
    """Returns the gradients' norms [K]."""
    return np.sqrt(np.maximum(np.diag(gram), 0.0))


def scaled(gram: np.ndarray) -> np.ndarray:
    """Returns the matrix with a longest gradient of length 1; a zero matrix as it is."""
    longest = np.diag(gram).max()
    return gram / longest if longest > 0 else gram


def cosines_of(gram: np.ndarray) -> np.ndarray:
    """Returns the Gram matrix of the unit gradients [K, K]; rows and columns of zero gradients are zero."""
    norms = norms_of(gram)
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return gram * inverse[:, None] * inverse


def positive_cosines(gram: np.ndarray) -> np.ndarray:
    """Returns ``cosines_of`` with no eigenvalue below ``SMALLEST``: training's Gram matrices are float32, rounded."""
    values, vectors = np.linalg.eigh(cosines_of(gram))
    return (vectors * np.maximum(values, SMALLEST)) @ vectors.T


def square_root(gram: np.ndarray) -> np.ndarray:
    """Returns R [K, K] with R'R = G + ``RIDGE`` I, for G of scale 1."""
    values, vectors = np.linalg.eigh(gram)
    return np.sqrt(np.maximum(values, 0.0) + RIDGE)[:, None] * vectors.T


def least_norm_weights(gram: np.ndarray) -> np.ndarray:
    """Returns the point w of the simplex with the least w'Gw [K].

    min ||R x||^2 + (1 - sum x)^2 over x >= 0 has the solution x = t w: for given w the best t leaves
    w'Gw / (1 + w'Gw), which grows with w'Gw.
    """
    size = len(gram)
    system = np.vstack([square_root(scaled(gram)), np.ones(size)])
    solution, _ = nnls(system, np.append(np.zeros(size), 1.0))
    return solution / solution.sum()


def dual_cone_weights(gram: np.ndarray, task: int) -> np.ndarray:
    """Returns the v >= e_task with the least v'Gv [K]: the task's gradient projected on {d: d'g_j >= 0 for all j}.

    Solved for gradients of length 1, v_j ||g_j|| / ||g_task||, so that short ones count as exactly as long ones.
    """
    norms = norms_of(gram)
    root = square_root(cosines_of(gram))
    added, _ = nnls(root, -root[:, task])
    added *= np.divide(norms[task], norms, out=np.zeros_like(norms), where=norms > 0)
    added[task] += 1.0
    return added
