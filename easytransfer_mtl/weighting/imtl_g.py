"""IMTL-G: an update with equal projections on all task gradients."""

import numpy as np

from easytransfer_mtl.weighting.gram import ROUNDING, GramWeighting, cosines_of, norms_of

TELLING = 1e-4
"""Dependent unit gradients count as equal if (1, ..., 1) projected on the null space of the cosine matrix is shorter."""


class IMTLG(GramWeighting):
    """Liu et al., "Towards impartial multi-task learning", ICLR 2021, the gradient-balancing half.

    The combination d with equal projections on all unit gradients: w = D^-1 C^+ 1 with the norms D and the cosine matrix C,
    scaled to sum to K. Scaling one loss does not change the direction of d. A weight may be negative.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    No options. Pitfall: if the unscaled weights nearly sum to zero, the scaled ones are arbitrarily large; if their sum is
    negative, their signs change. Differs from the paper in the factor K, and for linearly dependent gradients, for which the
    paper's inverse does not exist: the solution is then the limit of the solutions for nearby gradients; for equal
    gradients, which have many solutions, it is the one that shares the weight. A task with a zero gradient has weight 1.
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
    """Returns b such that the elements of C b are equal: C^+ 1 or, if unit gradients cancel, b with C b = 0."""
    values, vectors = np.linalg.eigh(cosines)
    along, cancels = vectors.sum(axis=0), values <= ROUNDING
    cancelling = vectors[:, cancels] @ along[cancels]
    if np.linalg.norm(cancelling) > TELLING:
        return cancelling
    return vectors[:, ~cancels] @ (along[~cancels] / values[~cancels])
