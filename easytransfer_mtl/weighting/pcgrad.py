"""PCGrad: each task's gradient without what conflicts with the others'."""

import numpy as np

from easytransfer_mtl.seeding import generator
from easytransfer_mtl.weighting.gram import GramWeighting


class PCGrad(GramWeighting):
    """Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020.

    For every task i, over the others j in random order: where g_i' g_j < 0, g_i' loses its projection on the original
    g_j. The step is the sum of the g_i' (as in the official code), so without conflict it is ``equal``'s; the weights have
    their own scale, 1 or more each.

    Option: ``seed``; the orders depend on it and the step alone.

    Heads: the paper leaves their gradients as they are, ``--scale_heads=false``; by default they are weighed as the rest.

    Trap: with more than two tasks the sum may still conflict with a task, and depends on the order. Departs from the
    official code in using its random orders (it shuffles and drops the result).
    """

    def __init__(self, num_tasks: int, seed: int) -> None:
        super().__init__(num_tasks, "pcgrad")
        self._seed = seed

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        random = generator(self._seed, "pcgrad", step)
        return projected_sum(gram, [random.permutation(self.num_tasks) for _ in range(self.num_tasks)])


def projected_sum(gram: np.ndarray, orders: list[np.ndarray]) -> np.ndarray:
    """Returns the sum of the projected gradients as weights [K].

    Args:
        gram: float64 [K, K].
        orders: for every task, the order in which it meets the others; its own place is passed over.
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
