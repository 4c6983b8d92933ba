"""UPGrad: the sum of the gradients, each first turned until it conflicts with none."""

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting, dual_cone_weights


class UPGrad(GramWeighting):
    """Quinton and Rey, "Jacobian descent for multi-objective optimization", 2024 (the default of TorchJD).

    Every g_i is projected on the cone of the directions along which no loss rises, {d: d'g_j >= 0 for all j}; the step is
    the projections' sum. It never conflicts with any task, for any K. Without conflict it is ``equal``'s; the weights have
    their own scale, 1 or more each.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    No options. Trap: none known but the price, K gradients. Departs from TorchJD in the factor K (a sum, where theirs is
    the mean), and in solving without regularisation and without setting short gradients to zero.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "upgrad")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        return np.sum([dual_cone_weights(gram, start) for start in np.eye(self.num_tasks)], axis=0)
