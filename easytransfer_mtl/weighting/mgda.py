"""MGDA: the shortest convex combination of the task gradients, along which no loss rises."""

import numpy as np

from easytransfer_mtl.config.train_settings import MGDA_NORMALIZATIONS, WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.gram import GramWeighting, least_norm_weights, norms_of


class MGDA(GramWeighting):
    """Sener and Koltun, "Multi-task learning as multi-objective optimization", NeurIPS 2018 (Desideri 2012).

    min ||sum_i a_i g_i||^2 over the simplex, solved exactly. With a normalisation the g_i are first divided by n_i: ||g_i||
    (``l2``), L_i (``loss``) or L_i ||g_i|| (``loss+``). The step is then along sum a_i g_i / n_i, so that no loss rises
    along it. The weights a_i / n_i are scaled to sum to K.

    Option: ``normalization`` (none).

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: without normalisation the smallest gradient gets nearly all the weight, and a task that is already learned
    (gradient near 0) stops the others. Differs from the official code, whose loop never ends early, whose end points are
    0.999 / 0.001, and which multiplies the a of the normalised gradients with the unnormalised losses. MGDA-UB, on the
    shared representation, is not offered: it needs tasks that read the same inputs, which the contest's do not.
    """

    may_be_zero = True
    starving_cure = "set --mgda_normalization=l2, or choose another method, for instance --loss_weighting=upgrad"

    def __init__(self, num_tasks: int, normalization: str = "none") -> None:
        """Raises UserError if the normalization is unknown."""
        if normalization not in MGDA_NORMALIZATIONS:
            raise UserError(f"mgda: normalization {normalization!r} is unknown; allowed: {', '.join(MGDA_NORMALIZATIONS)}.")
        super().__init__(num_tasks, "mgda")
        self.normalization = normalization

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "MGDA":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.mgda_normalization)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        divisors = np.ones(self.num_tasks)
        if self.normalization in ("l2", "loss+"):
            divisors *= norms_of(gram)
        if self.normalization in ("loss", "loss+"):
            divisors *= losses
        # A zero divisor means a zero loss or gradient, which stays zero with any weight.
        divisors = np.where(divisors > 0, divisors, 1.0)
        weights = least_norm_weights(gram / np.outer(divisors, divisors)) / divisors
        return self.num_tasks * weights / weights.sum()
