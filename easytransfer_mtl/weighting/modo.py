"""MoDo: MGDA's weights followed by unbiased steps, from the products of two independent batches' gradients."""

import numpy as np

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.independent import IndependentWeighting
from easytransfer_mtl.weighting.simplex import projected


class MoDo(IndependentWeighting):
    """Chen, Fernando, Ying and Chen, "Three-way trade-off in multi-objective learning", NeurIPS 2023.

    With G_1 and G_2 the gradients of two independent batches, lambda <- P(lambda - gamma (G_1'G_2 + rho I) lambda), P the
    projection onto the simplex; the step is that of both batches' mean gradients with the moved lambda (equation 2.9 of the
    longer paper, JMLR 2024). The weights are K lambda: they sum to K.

    Options: ``gamma`` (0.001), ``rho`` (0.1), LibMTL's defaults; TorchJD and the authors' code have gamma 0.1.

    Needs ``num_accumulated_batches`` 2. Pitfall: gamma is in units of an inverse squared gradient norm: 0.001 moves weights
    in hundreds of steps at norms about 1, and not at all at 0.01; 0.1 throws them from corner to corner at norms of 10.
    Differs from the paper in the factor K. LibMTL, and the authors' code by an option, take a third batch for the step.

    The projection is exact at any scale.
    """

    starving_cure = "lower --modo_gamma or raise --modo_rho, which holds the weights near 1"

    def __init__(self, num_tasks: int, gamma: float = 0.001, rho: float = 0.1) -> None:
        """Raises UserError if an option is negative."""
        if not (gamma >= 0 and rho >= 0):
            raise UserError(f"modo: gamma {gamma} and rho {rho} must be 0 or more.")
        super().__init__(num_tasks, "modo")
        self.gamma, self.rho = gamma, rho

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "MoDo":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.modo_gamma, settings.modo_rho)

    def moved(self, shares: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Returns the moved lambda."""
        return projected(shares - self.gamma * (products @ shares + self.rho * shares))
