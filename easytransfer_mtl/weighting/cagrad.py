"""CAGrad: near the mean gradient, the direction that is best for the task that gains least."""

import numpy as np
from scipy.optimize import brentq

from easytransfer_mtl.config.weighting_settings import CAGRAD_RESCALINGS
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.gram import GramWeighting, least_norm_weights, scaled

NEARLY_ZERO = 1e-7


class CAGrad(GramWeighting):
    """Liu et al., "Conflict-averse gradient descent for multi-task learning", NeurIPS 2021.

    d maximises min_i d'g_i within ||d - g_0|| <= c ||g_0||, g_0 the mean gradient: d = g_0 + c ||g_0|| g_w / ||g_w||, w on
    the simplex with the least F(w) = g_w'g_0 + c ||g_0|| ||g_w||. The weights are those of K d, so that c = 0 is
    ``equal``; with the default c they sum to about K (1 + c) where the tasks agree.

    Options: ``c`` (0.4, from 0 to below 1), ``rescale`` (none; the official code divides by 1 + c^2, ports by 1 + c).

    Solved exactly: c ||g_0|| ||g_w|| is the least over m > 0 of c ||g_0|| (||g_w||^2 / m + m) / 2, and for given m the best
    w is the least-norm point of the gradients g_i + g_0 m / (c ||g_0||); m is a root, since ||g_w|| - m changes sign once.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    Trap: not conflict-free (c < 1 stays near the mean). Where the least g_w is zero, d is g_0.
    """

    def __init__(self, num_tasks: int, c: float = 0.4, rescale: str = "none") -> None:
        """Takes the options.

        Raises:
            UserError: c is not from 0 to below 1, or the rescaling is unknown.
        """
        if not 0 <= c < 1 or rescale not in CAGRAD_RESCALINGS:
            raise UserError(
                f"cagrad: c {c} must be from 0 to below 1, rescale {rescale!r} one of {', '.join(CAGRAD_RESCALINGS)}."
            )
        super().__init__(num_tasks, "cagrad")
        self.c = c
        self._divisor = {"none": 1.0, "1+c": 1.0 + c, "1+c^2": 1.0 + c * c}[rescale]

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        gram = scaled(gram)
        mean = np.full(self.num_tasks, 1.0 / self.num_tasks)
        radius = self.c * np.sqrt(max(mean @ gram @ mean, 0.0))
        found = self._least(gram, mean, radius) if radius > NEARLY_ZERO else None
        if found is None:
            return np.ones(self.num_tasks) / self._divisor
        return self.num_tasks * (mean + radius * found / _length(gram, found)) / self._divisor

    def _least(self, gram: np.ndarray, mean: np.ndarray, radius: float) -> np.ndarray | None:
        """Returns the w of least F, or None if its g_w is zero."""
        with_mean = gram @ mean

        def best(m: float) -> np.ndarray:
            share = m / radius
            shifted = gram + share * (with_mean[:, None] + with_mean) + share * share * (mean @ with_mean)
            return least_norm_weights(shifted)

        def excess(m: float) -> float:
            return _length(gram, best(m)) - m

        shortest = max(NEARLY_ZERO, _length(gram, least_norm_weights(gram)))
        if excess(shortest) <= 0:
            return best(shortest) if shortest > NEARLY_ZERO else None
        return best(brentq(excess, shortest, 1.0 + NEARLY_ZERO, xtol=1e-14))


def _length(gram: np.ndarray, weights: np.ndarray) -> float:
    """Returns ||g_w||."""
    return float(np.sqrt(max(weights @ gram @ weights, 0.0)))
