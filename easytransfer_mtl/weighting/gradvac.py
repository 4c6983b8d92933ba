"""GradVac: gradients are turned towards each other until they are as alike as they have been on average."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.weighting.base import RunFacts, Signals, state_variable
from easytransfer_mtl.weighting.gram import GramWeighting, norms_of, scaled

HIGHEST = 1.0 - 1e-6
"""No target is higher: a gradient that is not parallel to another can be turned towards it only so far."""


class GradVac(GramWeighting):
    """Wang, Tsvetkov, Firat and Cao, "Gradient vaccine", ICLR 2021, algorithm 1.

    For every task i, h_i starts as g_i. For the other tasks j in random order, with c the cosine of h_i and the original g_j
    and t_ij its target: if c < t_ij, the multiple of g_j is added to h_i that brings their cosine to t_ij, ||h_i|| (t sqrt(1
    - c^2) - c sqrt(1 - t^2)) / (||g_j|| sqrt(1 - t^2)). Then t_ij becomes (1 - beta) t_ij + beta c. The step is the sum of
    the h_i. The targets start as 0, so that the first step is that of ``pcgrad``, with other orders. The weights are not
    normalised; each is 1 or more.

    Options: ``beta`` (0.01, the paper's), ``seed``; the orders depend only on the seed and the step.

    Heads: the paper does not scale their gradients (``--scale_heads=false``); by default they are scaled like all others.

    Pitfall: as with ``pcgrad``, the sum can conflict with a task if there are more than two, and it depends on the order. A
    target stays where a pair of tasks was early: tasks that come to conflict later are held together for about 1 / beta
    steps. LibMTL moves a target only where a gradient is turned, TorchJD as here; both have a beta of 0.5. Differs from the
    paper in taking all variables of the Gram matrix together (the paper's experiments take each
    layer by itself), and in targets of at most 1 - 1e-6, since the multiple is unbounded at 1.

    A task with a zero gradient is passed over. Each turn reaches its target to 1e-6 for norms up to 1e8 apart and cosines up
    to 1e-6 from 1 and -1, in any scale; of exactly opposite gradients, which no multiple turns, the other one is cancelled.
    """

    def __init__(self, num_tasks: int, beta: float = 0.01, seed: int = 0) -> None:
        """Raises UserError if beta is not from 0 to 1."""
        if not 0 <= beta <= 1:
            raise UserError(f"gradvac: beta {beta} must be from 0 to 1.")
        super().__init__(num_tasks, "gradvac")
        self.beta = beta
        self._seed = seed
        self.targets = state_variable(tf.zeros([num_tasks, num_tasks]), "targets")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "GradVac":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.gradvac_beta, run.seed)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the weights of the sum of the h_i; NaN if the Gram matrix is not finite."""
        return self._vaccinated(signals)[0]

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves the targets towards the step's cosines."""
        self.targets.assign(self._vaccinated(signals)[1])

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights with the targets as they are."""
        return vaccinated(gram, self.targets.numpy(), self.beta, _orders(self._seed, self.num_tasks, step))[0]

    def _vaccinated(self, signals: Signals) -> tuple[tf.Tensor, tf.Tensor]:
        seed, beta, size = self._seed, self.beta, self.num_tasks  # see GramWeighting.weights: no reference to self

        def both_of(gram: np.ndarray, targets: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if not np.isfinite(gram).all():
                return np.full(size, np.nan, np.float32), targets
            weights, moved = vaccinated(gram.astype(np.float64), targets, beta, _orders(seed, size, int(step)))
            return weights.astype(np.float32), moved.astype(np.float32)

        inputs = [signals.gram, tf.convert_to_tensor(self.targets), signals.step]
        weights, targets = tf.numpy_function(both_of, inputs, [tf.float32, tf.float32])
        return tf.ensure_shape(weights, [size]), tf.ensure_shape(targets, [size, size])


def vaccinated(
    gram: np.ndarray, targets: np.ndarray, beta: float, orders: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights [K] of the sum of the h_i, and the moved targets [K, K].

    Args:
        gram: float64 [K, K].
        targets: [K, K], the cosines to be reached.
        beta: share of the step's cosines in the moved targets.
        orders: for each task, the order in which the others are visited; the task itself is skipped.
    """
    gram, targets = scaled(gram), targets.astype(np.float64)
    norms, total = norms_of(gram), np.zeros(len(gram))
    for task, order in enumerate(orders):
        weights = np.zeros(len(gram))
        weights[task] = 1.0
        for other in order:
            length = np.sqrt(max(weights @ gram @ weights, 0.0))
            if other == task or not length * norms[other] > 0:
                continue
            cosine = np.clip(weights @ gram[:, other] / (length * norms[other]), -1.0, 1.0)
            target = min(targets[task, other], HIGHEST)
            if cosine < target:
                across, wanted = np.sqrt((1.0 - cosine) * (1.0 + cosine)), np.sqrt((1.0 - target) * (1.0 + target))
                weights[other] += length / norms[other] * (target * across / wanted - cosine)
            targets[task, other] += beta * (cosine - targets[task, other])
        total += weights
    return total, targets


def _orders(seed: int, size: int, step: int) -> list[np.ndarray]:
    random = generator(seed, "gradvac", step)
    return [random.permutation(size) for _ in range(size)]
