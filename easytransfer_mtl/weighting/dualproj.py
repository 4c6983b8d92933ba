"""DualProj: the sum of the gradients, projected so that it conflicts with no task."""

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting, dual_cone_weights


class DualProj(GramWeighting):
    """Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017, equations 8 to 11.

    The sum of the gradients is projected onto {d: d'g_j >= 0 for all j}, the directions along which no loss rises: the
    weights are the v >= 1 that minimise v'Gv. Without conflict the step is that of ``equal``. The weights are not
    normalised; each is 1 or more.

    Heads: the paper has none that the projection concerns; they are scaled like all others, unless ``--scale_heads=false``.

    No options. Pitfall: unlike that of ``upgrad``, the step may be orthogonal to the gradient of a task that loses against
    the sum, so that this task learns nothing. Differs from the paper in what is projected, there the gradient of the newest
    task against those of the earlier ones, and in no added constant, which the official code adds to the matrix and to v.

    No loss rises along the step, up to 1e-9 of its length, for norms up to 1e8 apart and cosines up to 1e-9 from 1 and -1,
    in any scale, cancelling gradients included. The float32 of a training step adds up to 1e-6 of the longest weighted
    gradient.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "dualproj")

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        return dual_cone_weights(gram, np.ones(self.num_tasks))
