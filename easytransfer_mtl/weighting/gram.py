"""Base class of the weightings based on the Gram matrix of the task gradients, and the least-squares solvers they use.

The solvers run in NumPy, float64, on K x K matrices: exact up to rounding, for any K, in well under a millisecond.
"""

import weakref

import numpy as np
import tensorflow as tf
from scipy.optimize import nnls

from easytransfer_mtl.weighting.base import Signals, TaskWeighting

ROUNDING = 1e-13
"""Eigenvalues of a cosine matrix below this are rounding errors of float64 sums."""

RIDGE = 1e-10
"""Factor of x'x in the least squares over cosines, so that equal gradients share their weight."""

ROUNDS = 3
"""Number of ridge solutions; each is pulled towards the previous one instead of 0."""


class GramWeighting(TaskWeighting):
    """Weights as a function of the Gram matrix G of the unweighted losses' gradients. Undefined with one task per step.

    Subclasses override ``solve``.
    """

    needs_gram = True
    needs_joint_step = True

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the weights from ``solve``; NaN if the Gram matrix or a loss is not finite."""

        # TensorFlow never releases the function of a ``numpy_function``, so it must not hold a reference to the weighting.
        weighting = weakref.proxy(self)

        def weights_of(gram: np.ndarray, losses: np.ndarray, step: np.ndarray) -> np.ndarray:
            if not (np.isfinite(gram).all() and np.isfinite(losses).all()):
                return np.full(weighting.num_tasks, np.nan, np.float32)
            return weighting.solve(gram.astype(np.float64), losses.astype(np.float64), int(step)).astype(np.float32)

        weights = tf.numpy_function(weights_of, [signals.gram, signals.losses, signals.step], tf.float32)
        return tf.ensure_shape(weights, [self.num_tasks])

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights of a step, float64 [K].

        Args:
            gram: float64 [K, K], finite.
            losses: float64 [K].
            step: seeds the step's random numbers in methods that draw any.
        """
        raise NotImplementedError


def norms_of(gram: np.ndarray) -> np.ndarray:
    """Returns the gradients' norms [K]."""
    return np.sqrt(np.maximum(np.diag(gram), 0.0))


def scaled(gram: np.ndarray) -> np.ndarray:
    """Returns the Gram matrix scaled so that the longest gradient has length 1; a zero matrix is returned unchanged."""
    longest = np.diag(gram).max()
    return gram / longest if longest > 0 else gram


def cosines_of(gram: np.ndarray) -> np.ndarray:
    """Returns the Gram matrix of the unit gradients [K, K]; rows and columns of zero gradients are zero."""
    norms = norms_of(gram)
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return gram * inverse[:, None] * inverse


def square_root(cosines: np.ndarray) -> np.ndarray:
    """Returns R [K, K] with R'R = C, without the eigenvalues of C that are rounding errors."""
    values, vectors = np.linalg.eigh(cosines)
    return np.sqrt(np.where(values > ROUNDING, values, 0.0))[:, None] * vectors.T


def least_norm_weights(gram: np.ndarray) -> np.ndarray:
    """Returns the point w of the simplex that minimises w'Gw [K].

    Solved in x_i = w_i ||g_i||, so that short gradients are as exact as long ones: minimise x'Cx, C the cosine matrix, over
    x >= 0 with s'x = 1, s_i proportional to 1 / ||g_i||. min ||R x||^2 + (1 - s'x)^2 over x >= 0 has the solution t x: for
    fixed x the optimal t gives x'Cx / (1 + x'Cx), which increases with x'Cx.
    """
    norms = norms_of(gram)
    if norms.min() <= 0:
        return (norms <= 0) / np.sum(norms <= 0)
    root, shares = square_root(cosines_of(gram)), norms.min() / norms
    solution = None
    if not root.any(axis=1).all():  # short gradients would hide that long ones cancel
        solution = _least_on_plane(root, np.ones(len(gram)))
        solution = solution if np.sum((root @ solution) ** 2) <= ROUNDING * np.sum(solution**2) else None
    if solution is None:
        solution = _least_on_plane(root, shares)
    return solution * shares / np.sum(solution * shares)


def _least_on_plane(root: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns, up to a factor, the x >= 0 with s'x = 1 that minimises x'Cx."""
    return _nonnegative(np.vstack([root, shares]), np.append(np.zeros(len(root)), 1.0))


def dual_cone_weights(gram: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Returns the v >= ``start`` that minimises v'Gv [K]: g_start projected onto {d: d'g_j >= 0 for all j}.

    Solved for gradients of length 1, so that short gradients are as exact as long ones.
    """
    norms = norms_of(gram)
    lengths = start * norms
    root, scale = square_root(cosines_of(gram)), np.abs(lengths).max()
    if scale <= 0:
        return start
    added = scale * _nonnegative(root, -root @ (lengths / scale))
    return start + np.divide(added, norms, out=np.zeros_like(norms), where=norms > 0)


def _nonnegative(system: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the x >= 0 that minimises ||system x - wanted||; the shortest one if there are several.

    The proximal point method finds the nonzero elements; unconstrained least squares over these gives their values.
    """
    size, pull = system.shape[1], np.sqrt(RIDGE)
    found, pulled = np.zeros(size), np.vstack([system, pull * np.eye(size)])
    for _ in range(ROUNDS):
        found, _ = nnls(pulled, np.append(wanted, pull * found), maxiter=100 * size)
    support = found > 0
    exact = np.linalg.lstsq(system[:, support], wanted, rcond=np.sqrt(ROUNDING))[0]
    if (exact >= 0).all():
        found[support] = exact
    return found
