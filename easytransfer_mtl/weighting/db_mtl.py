"""DB-MTL: the gradients of the logarithms of the losses, all brought to the length of the longest."""

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting, norms_of

TINY = 1e-8


class DBMTL(GramWeighting):
    """Lin et al., "Dual-balancing for multi-task learning", 2023 (arXiv 2308.12029).

    The tasks minimise ln L_i, whose gradients are h_i = g_i / (L_i + 1e-8); each is brought to the length of the longest
    one. In terms of g_i the weights are max_j ||h_j|| / ||g_i||. They are not normalised: every weighted gradient has the
    length max_j ||h_j||.

    Heads: the paper gives them the gradients of ln L_i, without the second factor; by default they are scaled like all
    others.

    No options. Pitfall: a task that is learned has a loss near 0 and so a long h: it sets the length of the step, and only
    clipping (``clip_norm_value``) limits that. Differs from the paper in that h_i is that of the step alone. The paper also
    averages it over steps, with a factor beta / t^0.5 for what was before; this needs K gradients to be kept between steps,
    and a Gram matrix does not tell them. It is the paper's method for beta 0.

    A task with a zero gradient has weight 1. The lengths are equal to 1e-6 for norms from 1e-15 to 1e15, whatever the
    angles.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "db_mtl")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        norms = norms_of(gram)
        longest = (norms / (np.maximum(losses, 0.0) + TINY)).max()
        return np.divide(longest, norms, out=np.ones_like(norms), where=norms > 0)
