"""IMTL-G: a step that goes equally far along every task's gradient."""

import numpy as np

from easytransfer_mtl.weighting.gram import ROUNDING, GramWeighting, cosines_of, norms_of

TELLING = 1e-4
"""Where unit gradients are dependent they are equal if the part of (1, ..., 1) that they map to zero is below this."""


class IMTLG(GramWeighting):
    """Liu et al., "Towards impartial multi-task learning", ICLR 2021, the gradient-balancing half.

    The combination d whose projections on all unit gradients are equal: w = D^-1 C^+ 1 with the norms D and the cosines C,
    scaled to sum to K. Scaling one loss leaves d's direction as it is. A weight may be negative.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    No options. Trap: where the w as they are nearly sum to zero, they grow without bound when scaled; where their sum is
    negative they turn sign. Departs from the paper in the factor K, and where the gradients depend on each other, so that
    its inverse does not exist: the solution is then the one that these gradients' neighbours tend to, and of equal
    gradients, which have many, the one that shares the weight. A task whose gradient is zero has weight 1.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "imtl_g")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if not moving.any():
            return weights
        part = gram[np.ix_(moving, moving)]
        found = _equal_projections(cosines_of(part)) / norms_of(part)
        total = found.sum()
        if abs(total) > 1e-9 * np.abs(found).sum():
            weights[moving] = moving.sum() * found / total
        return weights


def _equal_projections(cosines: np.ndarray) -> np.ndarray:
    """Returns b with equal elements in C b: C^+ 1, or where unit gradients cancel, b with C b = 0."""
    values, vectors = np.linalg.eigh(cosines)
    along, cancels = vectors.sum(axis=0), values <= ROUNDING
    cancelling = vectors[:, cancels] @ along[cancels]
    if np.linalg.norm(cancelling) > TELLING:
        return cancelling
    return vectors[:, ~cancels] @ (along[~cancels] / values[~cancels])
