"""UPGrad: the sum of the gradients, each first projected so that it conflicts with no task."""

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting, dual_cone_weights


class UPGrad(GramWeighting):
    """Quinton and Rey, "Jacobian descent for multi-objective optimization", 2024 (the default of TorchJD).

    Every g_i is projected onto the cone of the directions along which no loss rises, {d: d'g_j >= 0 for all j}; the step is
    the sum of the projections. It never conflicts with any task, for any K. Without conflict it is that of ``equal``. The
    weights are not normalised; each is 1 or more.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    No options. Pitfall: none known, except the cost of K gradients. Differs from TorchJD in the factor K (a sum instead of
    the mean), and in solving without regularisation and without setting short gradients to zero.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "upgrad")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        return np.sum([dual_cone_weights(gram, start) for start in np.eye(self.num_tasks)], axis=0)
