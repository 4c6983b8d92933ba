"""ConFIG: an update at the same angle to all task gradients, as long as these agree with it."""

import numpy as np

from easytransfer_mtl.weighting.gram import ROUNDING, GramWeighting, cosines_of, norms_of

TELLING = 1e-4
"""Unit gradients cancel if what C leaves of (1, ..., 1) is shorter."""


class ConFIG(GramWeighting):
    """Liu, Chu and Thuerey, "ConFIG: towards conflict-free training of physics informed neural networks", ICLR 2025.

    The direction u is that of M^+ 1, M the matrix with the unit gradients as rows: its cosine with all gradients is the same
    and positive. The step is (sum g_i'u) u. With b = C^+ 1, C the cosine matrix, the weights are b_i / ||g_i|| times sum_j
    ||g_j|| (C b)_j / b'Cb. They are not normalised and one may be negative; for orthogonal gradients of one length they are
    1.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others, so
    that a head with a negative weight climbs.

    No options. Pitfall: the direction is that of ``imtl_g``, whose length differs, or its opposite where that of ``imtl_g``
    raises losses. Where the gradients nearly cancel the step is short, since no direction agrees with all.

    No loss rises along the step, and its cosines with the gradients are equal to 1e-3, for norms up to 1e8 apart and cosines
    up to 1e-9 from 1 and -1 (to 1e-6 up to 1e-6 from them), in any scale. Gradients that agree or oppose each other up to
    float32 rounding (eigenvalues of the cosine matrix below 1e-13) are dependent: the cosines are then equal only as far as
    they can be (least squares). In the float32 of a training step the step's cosines are equal to 1e-2 as long as those of
    the gradients are 1e-6 from 1 and 1e-3 from -1, for norms up to 1e8 apart.

    Differs from the official code in this test of independence; and where all unit gradients cancel, so that u is undefined:
    the weights are then in proportion to 1 / ||g_i||, and the step is 0. A task with a zero gradient has weight 1.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "config")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        weights, moving = np.ones(self.num_tasks), norms_of(gram) > 0
        if moving.any():
            part = gram[np.ix_(moving, moving)]
            norms = norms_of(part)
            weights[moving] = _coefficients(cosines_of(part), norms) / norms
        return weights


def _coefficients(cosines: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Returns the coefficients of the unit gradients in the step."""
    values, vectors = np.linalg.eigh(cosines)
    independent = values > ROUNDING
    values, vectors = values[independent], vectors[:, independent]
    along = vectors.sum(axis=0)
    if np.linalg.norm(along) <= TELLING:
        return np.full(len(norms), norms.mean())
    agreed = vectors @ along  # C b, which is 1 for independent gradients
    return vectors @ (along / values) * (norms @ agreed) / np.sum(along**2 / values)
