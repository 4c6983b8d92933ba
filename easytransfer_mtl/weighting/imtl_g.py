"""IMTL-G: a step that goes equally far along every task's gradient."""

import numpy as np

from easytransfer_mtl.weighting.gram import SMALLEST, GramWeighting, cosines_of, norms_of


class IMTLG(GramWeighting):
    """Liu et al., "Towards impartial multi-task learning", ICLR 2021, the gradient-balancing half.

    The combination d whose projections on all unit gradients are equal: w = D^-1 C^+ 1 with the norms D and the cosines C,
    scaled to sum to K. Scaling one loss leaves d's direction as it is. A weight may be negative.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    No options. Trap: where the gradients nearly cancel the weights grow without bound before they are scaled, and turn
    sign. Departs from the paper in the factor K, and in the pseudo-inverse where it has an inverse. A task whose gradient
    is zero has weight 1.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "imtl_g")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if not moving.any():
            return weights
        part = gram[np.ix_(moving, moving)]
        found = np.linalg.pinv(cosines_of(part), rcond=SMALLEST, hermitian=True).sum(axis=1) / norms_of(part)
        total = found.sum()
        if abs(total) > 1e-9 * np.abs(found).sum():
            weights[moving] = moving.sum() * found / total
        return weights
