"""Aligned-MTL: the sum of the gradients after all have been made orthogonal and equally long."""

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting, cosines_of, norms_of, square_root


class AlignedMTL(GramWeighting):
    """Senushkin, Patakin, Kuznetsov and Konushin, "Independent component alignment for multi-task learning", CVPR 2023.

    With the singular values S and right singular vectors V of the matrix of gradients (those of the Gram matrix are S^2 and
    V), the weights are B 1 with B = s V S^-1 V', s the smallest singular value that is not 0. The gradients combined by B
    are orthogonal and of length s; the step is their sum. For orthogonal gradients of one length it is that of ``equal``.
    The weights are not normalised, and one may be negative.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others, so
    that a head with a negative weight climbs.

    No options. Pitfall: the step is as long as the shortest component. It shrinks without bound as gradients become
    dependent or one of them vanishes, and grows again where they are so dependent that the component counts as 0. It
    conflicts with no aligned gradient, but may conflict with a task's own.

    A component counts as 0 if the cosine matrix has an eigenvalue below 1e-13: gradients of float32 that agree up to
    rounding are dependent. B G B is s^2 I to 1e-4 for norms up to 1e8 apart and cosines up to 1e-6 from 1 and -1, and for
    norms up to 1e4 apart and cosines up to 1e-9 from them, in any scale. The float32 of a training step adds up to 1e-6 of
    the longest weighted gradient.

    Differs from the official code in this test of independence, which there depends on the norms and takes components
    shorter than about 5e-4 of the longest for 0; and in a weight of 1 for a task with a zero gradient, which there has 0.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "aligned_mtl")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if moving.any():
            weights[moving] = aligning_matrix(gram[np.ix_(moving, moving)]).sum(axis=1)
        return weights


def aligning_matrix(gram: np.ndarray) -> np.ndarray:
    """Returns B [K, K] of gradients of which none is zero: B is symmetric, and BGB is s^2 on the range of G."""
    # The factor R D of G has the norms themselves as scales, where G has their squares.
    root = square_root(cosines_of(gram))
    independent = root.any(axis=1)
    _, values, vectors = np.linalg.svd(root[independent] * norms_of(gram), full_matrices=False)
    return (vectors.T * (values[-1] / values)) @ vectors
