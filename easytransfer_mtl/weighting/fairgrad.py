"""FairGrad: the step that is alpha-fair in what the losses gain."""

import numpy as np

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.gram import GramWeighting, cosines_of, norms_of

ITERATIONS = 500
SMALLEST, LARGEST = 1e-12, 1e6
"""Smaller eigenvalues of the cosine matrix are raised, so that weights grow by this at most if gradients cancel."""

NEAR = 1e-4
"""Steps that change no weight by more converge quadratically."""

LOWEST_ALPHA, HIGHEST_ALPHA = 0.5, 10.0


class FairGrad(GramWeighting):
    """Ban and Ji, "Fair resource allocation in multi-task learning", ICML 2024.

    The step d = sum w_i g_i maximises the sum of the alpha-fair utilities of the gains g_i'd: its weights w > 0 solve (G
    w)_i = w_i^(-1 / alpha). ``alpha`` 1 is proportional fairness and gives the weights of ``nash`` with no limit of the
    norm; small values approach the largest total gain, large ones the largest least gain.

    Option: ``alpha`` (2; 0.5 to 10). The weights are not normalised. If all gradients are s times as long, the step is s^((1
    - alpha) / (1 + alpha)) times as long.

    Solved by Newton's method on w'Gw / 2 - sum w_i^(1 - 1 / alpha) / (1 - 1 / alpha), which is convex. No step changes a
    weight by so much that the curvature doubles, so that each one descends. The official code starts a general least-squares
    solver from equal weights, whatever the scale (for reinforcement learning 20 steps of gradient descent), and may stop far
    from the solution.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: with ``alpha`` above 1 the step grows as the gradients shrink; only clipping (``clip_norm_value``) limits it. No
    step solves the equation if gradients cancel; the weights then grow, here to at most a million times. A task with a zero
    gradient has weight 1.

    The equation, ((G w)_i)^alpha w_i = 1, holds to 1e-4 for norms up to 1e8 apart and cosines up to 1e-3 from 1 and -1; for
    alpha 1 and 2 also for cosines up to 1e-6 from them, and for alpha 1 to 1e-3 up to 1e-9; all in any scale. In the float32
    of a training step it holds to 1e-2 for alpha 2, cosines up to 1e-3 from -1 and norms up to 1e4 apart.
    """

    def __init__(self, num_tasks: int, alpha: float = 2.0) -> None:
        """Raises UserError if alpha is out of range."""
        if not LOWEST_ALPHA <= alpha <= HIGHEST_ALPHA:
            raise UserError(f"fairgrad: alpha {alpha} must be from {LOWEST_ALPHA} to {HIGHEST_ALPHA}.")
        super().__init__(num_tasks, "fairgrad")
        self.alpha = alpha

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "FairGrad":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.fairgrad_alpha)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if moving.any():
            part = gram[np.ix_(moving, moving)]
            weights[moving] = _fair(cosines_of(part), norms_of(part), self.alpha) / norms_of(part)
        return weights


def _fair(cosines: np.ndarray, norms: np.ndarray, alpha: float) -> np.ndarray:
    """Returns x = w ||g||, the solution of C x = ||g||^(1 / alpha - 1) x^(-1 / alpha)."""
    values, vectors = np.linalg.eigh(cosines)
    smallest = max(SMALLEST, LARGEST ** -(1.0 + 1.0 / alpha))  # x grows by the power -alpha / (alpha + 1) of an eigenvalue
    cosines = (vectors * np.maximum(values, smallest)) @ vectors.T
    factors = norms ** (1.0 / alpha - 1.0)
    point = norms ** ((1.0 - alpha) / (1.0 + alpha))  # the solution for orthogonal gradients
    longest, before = 0.5 * alpha / (alpha + 1.0), np.inf
    for _ in range(ITERATIONS):
        wanted = factors * point ** (1.0 - 1.0 / alpha)
        curvature = cosines * np.outer(point, point) + np.diag(wanted / alpha)
        scales = 1.0 / np.sqrt(np.diag(curvature))
        slope = wanted - point * (cosines @ point)
        change = scales * np.linalg.solve(curvature * np.outer(scales, scales), scales * slope)
        size = np.abs(change).max()
        if size < NEAR and size >= before:  # only rounding errors are left
            break
        point, before = point * (1.0 + change * min(1.0, longest / max(size, NEAR))), size
    return point
