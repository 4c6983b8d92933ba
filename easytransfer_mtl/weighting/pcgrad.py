"""PCGrad: each task's gradient without the components that conflict with other tasks."""

import numpy as np

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.gram import GramWeighting


class PCGrad(GramWeighting):
    """Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020.

    For every task i, h_i starts as g_i. For the other tasks j in random order: if h_i'g_j < 0, its projection on the
    original g_j is subtracted from h_i. The step is the sum of the h_i (as in the official code), so that without conflict
    it is that of ``equal``. The weights are not normalised; each is 1 or more.

    Option: ``seed``; the orders depend only on the seed and the step.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: with more than two tasks the sum can still conflict with a task, and it depends on the order. Differs from the
    official code in using the random orders (the official code shuffles and discards the result).
    """

    def __init__(self, num_tasks: int, seed: int) -> None:
        super().__init__(num_tasks, "pcgrad")
        self._seed = seed

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "PCGrad":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, run.seed)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        random = generator(self._seed, "pcgrad", step)
        return projected_sum(gram, [random.permutation(self.num_tasks) for _ in range(self.num_tasks)])


def projected_sum(gram: np.ndarray, orders: list[np.ndarray]) -> np.ndarray:
    """Returns the weights [K] of the sum of the projected gradients.

    Args:
        gram: float64 [K, K].
        orders: for each task, the order in which the others are visited; the task itself is skipped.
    """
    total = np.zeros(len(gram))
    for task, order in enumerate(orders):
        weights = np.zeros(len(gram))
        weights[task] = 1.0
        for other in order:
            product = weights @ gram[:, other]
            if other != task and product < 0 and gram[other, other] > 0:
                weights[other] -= product / gram[other, other]
        total += weights
    return total
