"""CAGrad: the update close to the mean gradient that is best for the task that gains least."""

import math
import sys

import numpy as np
from scipy.optimize import brentq

from easytransfer_mtl.config.train_settings import CAGRAD_RESCALINGS, WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.gram import GramWeighting, dual_cone_weights, least_norm_weights, norms_of, scaled

NEARLY_ZERO, STARTS = 1e-7, 40


class CAGrad(GramWeighting):
    """Liu et al., "Conflict-averse gradient descent for multi-task learning", NeurIPS 2021.

    d maximises min_i d'g_i subject to ||d - g_0|| <= c ||g_0||, with g_0 the mean gradient: d = g_0 + c ||g_0|| g_w /
    ||g_w||, where w minimises F(w) = g_w'g_0 + c ||g_0|| ||g_w|| on the simplex. The weights are those of K d, so that c = 0
    gives ``equal``; with the default c they sum to about K (1 + c) if the tasks agree.

    Options: ``c`` (0.4; 0 <= c < 1), ``rescale`` (none; the official code divides by 1 + c^2, ports of it by 1 + c).

    Solved exactly: c ||g_0|| ||g_w|| is the minimum over m > 0 of c ||g_0|| (||g_w||^2 / m + m) / 2. For fixed m the optimal
    w is the least-norm point of the gradients g_i + g_0 m / (c ||g_0||). The optimal m is the root of ||g_w|| - m, which
    changes sign once.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: not conflict-free, since c < 1 keeps d near the mean. If the gradients can cancel, so that the optimal g_w is
    zero, the formula is undefined; d is then the direction nearest to g_0 along which no loss rises, which also maximises
    min_i d'g_i. Differs from the official code, which adds 1e-8 to ||g_w|| and to ||g_0||^2, in adding nothing.
    """

    def __init__(self, num_tasks: int, c: float = 0.4, rescale: str = "none") -> None:
        """Raises UserError if c is not in [0, 1) or the rescaling is unknown."""
        if not 0 <= c < 1 or rescale not in CAGRAD_RESCALINGS:
            raise UserError(
                f"cagrad: c {c} must be from 0 to below 1, rescale {rescale!r} one of {', '.join(CAGRAD_RESCALINGS)}."
            )
        super().__init__(num_tasks, "cagrad")
        self.c = c
        self._divisor = {"none": 1.0, "1+c": 1.0 + c, "1+c^2": 1.0 + c * c}[rescale]

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "CAGrad":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.cagrad_c, settings.cagrad_rescale)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        gram = scaled(gram)
        mean = np.full(self.num_tasks, 1.0 / self.num_tasks)
        radius = self.c * _length(gram, mean)
        weights = self._direction(gram, mean, radius) if radius > NEARLY_ZERO else mean
        return self.num_tasks * weights / self._divisor

    def _direction(self, gram: np.ndarray, mean: np.ndarray, radius: float) -> np.ndarray:
        """Returns the coefficients of d as a combination of the gradients."""
        norms, with_mean = norms_of(gram), gram @ mean
        least = least_norm_weights(gram)
        shortest, safe = _length(gram, least), None
        if _is_rounding(shortest, least * norms):
            safe = dual_cone_weights(gram, mean) - mean
            far = _length(gram, safe)
            if far <= radius:
                return mean + safe
            shortest, safe = NEARLY_ZERO * norms[norms > 0].min(), safe * radius / far

        def best(log_m: float) -> np.ndarray:
            share = math.exp(log_m) / radius
            shifted = gram + share * (with_mean[:, None] + with_mean) + share * share * (mean @ with_mean)
            return least_norm_weights(shifted)

        def excess(log_m: float) -> float:
            return math.log(max(_length(gram, best(log_m)), sys.float_info.min)) - log_m

        starts, high = [math.log(shortest)], NEARLY_ZERO
        if safe is not None:  # for small m, rounding can hide that ||g_w|| > m
            starts += list(np.linspace(starts[0], high, STARTS)[1:])
        low = next((start for start in starts if excess(start) > 0), None)
        found = least if low is None else best(brentq(excess, low, high, xtol=1e-14))
        length = _length(gram, found)
        if safe is not None and _is_rounding(length, 10.0 * found * norms):
            return mean + safe
        return mean + radius * found / length


def _is_rounding(length: float, terms: np.ndarray) -> bool:
    """Returns whether a sum of gradients of this length is zero up to rounding; ``terms`` are the lengths of its terms."""
    return length <= NEARLY_ZERO * float(np.linalg.norm(terms))


def _length(gram: np.ndarray, weights: np.ndarray) -> float:
    """Returns ||g_w||."""
    return float(np.sqrt(max(weights @ gram @ weights, 0.0)))
