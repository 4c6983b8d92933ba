"""Krum: only the gradients that are nearest to the others, a robust baseline."""

import numpy as np

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.gram import GramWeighting, scaled


class Krum(GramWeighting):
    """Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient descent", NeurIPS 2017.

    A task's score is the sum of the squared distances from its gradient to the K - f - 2 nearest other gradients; the m
    tasks with the lowest scores have the weight K / m, the others 0 (m of 1 is Krum, larger ones Multi-Krum). Of equal
    scores the first task's is taken as lower, as in the paper. The weights sum to K.

    Options: ``outliers`` f (0), the number of gradients that may be arbitrary, 2 f + 2 < K; ``selected`` m (1).

    Heads: scaled like all others; those of tasks with weight 0 are left alone.

    Pitfall: made for workers that share one task. Of different tasks it trains those whose gradients lie in the middle,
    mostly the ones with short gradients, and may never train the others. Needs three tasks or more. Differs from the paper
    in the factor K. Exact unless scores differ by less than 1e-14 of the longest gradient's square.
    """

    may_be_zero = True
    starving_cure = "raise --krum_selected, or choose another method"

    def __init__(self, num_tasks: int, outliers: int = 0, selected: int = 1) -> None:
        """Raises UserError if there are too few tasks for an option."""
        if not (outliers >= 0 and 2 * outliers + 2 < num_tasks and 1 <= selected <= num_tasks):
            raise UserError(
                f"krum: {num_tasks} tasks are too few for outliers {outliers} or selected {selected}; there must be more "
                "than 2 outliers + 2 tasks, and as many as are selected. Choose smaller values, or another --loss_weighting."
            )
        super().__init__(num_tasks, "krum")
        self.outliers, self.selected = outliers, selected

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "Krum":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.krum_outliers, settings.krum_selected)

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the weights."""
        gram = scaled(gram)
        squares = np.diag(gram)
        distances = np.maximum(squares[:, None] + squares - 2.0 * gram, 0.0)
        np.fill_diagonal(distances, np.inf)
        nearest = np.sort(distances, axis=1)[:, : self.num_tasks - self.outliers - 2]
        chosen = np.argsort(nearest.sum(axis=1), kind="stable")[: self.selected]
        weights = np.zeros(self.num_tasks)
        weights[chosen] = self.num_tasks / self.selected
        return weights
