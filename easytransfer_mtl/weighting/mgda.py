"""MGDA: the shortest combination of the task gradients, along which no loss rises."""

import numpy as np

from easytransfer_mtl.config.weighting_settings import MGDA_NORMALIZATIONS
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.gram import GramWeighting, least_norm_weights, norms_of


class MGDA(GramWeighting):
    """Sener and Koltun, "Multi-task learning as multi-objective optimization", NeurIPS 2018 (Desideri 2012).

    min ||sum_i a_i g_i||^2 over the simplex, solved exactly. With a normalisation the g_i are first divided by n_i:
    ||g_i|| (``l2``), L_i (``loss``) or L_i ||g_i|| (``loss+``); the step then goes along sum a_i g_i / n_i, so that no loss
    rises along it. The weights a_i / n_i are scaled to sum to K.

    Option: ``normalization`` (none).

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    Trap: without normalisation the smallest gradient takes nearly all the weight, and a task that is learned (gradient near
    0) stops the others. Departs from the official code, whose loop never ends early, whose end points are 0.999 / 0.001,
    and which multiplies the a of the normalised gradients with the losses as they are. MGDA-UB, on the shared
    representation, needs tasks that read the same inputs; the contest's do not, so it is not offered.
    """

    may_be_zero = True

    def __init__(self, num_tasks: int, normalization: str = "none") -> None:
        """Takes the option.

        Raises:
            UserError: it is unknown.
        """
        if normalization not in MGDA_NORMALIZATIONS:
            raise UserError(f"mgda: normalization {normalization!r} is unknown; allowed: {', '.join(MGDA_NORMALIZATIONS)}.")
        super().__init__(num_tasks, "mgda")
        self.normalization = normalization

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        divisors = np.ones(self.num_tasks)
        if self.normalization in ("l2", "loss+"):
            divisors *= norms_of(gram)
        if self.normalization in ("loss", "loss+"):
            divisors *= losses
        # A divisor of zero is a loss or a gradient of zero, which any weight leaves zero.
        divisors = np.where(divisors > 0, divisors, 1.0)
        weights = least_norm_weights(gram / np.outer(divisors, divisors)) / divisors
        return self.num_tasks * weights / weights.sum()
