"""CR-MOGM: the weights of another method, averaged over steps."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import CR_MOGM_METHODS, WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, state_variable
from easytransfer_mtl.weighting.cagrad import CAGrad
from easytransfer_mtl.weighting.gram import GramWeighting
from easytransfer_mtl.weighting.mgda import MGDA
from easytransfer_mtl.weighting.pcgrad import PCGrad

METHODS: dict[str, Callable[[int, int], GramWeighting]] = {
    "mgda": lambda size, seed: MGDA(size),
    "pcgrad": PCGrad,
    "cagrad": lambda size, seed: CAGrad(size),
}


class CRMOGM(GramWeighting):
    """Zhou et al., "On the convergence of stochastic multi-objective gradient manipulation and beyond", NeurIPS 2022.

    The weights l of MGDA, PCGrad or CAGrad depend on the same random batches as the gradients that they weigh, which biases
    the step. The weights used are l_t = alpha l_(t-1) + (1 - alpha) l, from l_0 = 1 for every task. Their scale is that of
    the method: with ``mgda`` they sum to K.

    Options: ``method`` (mgda; pcgrad, cagrad, each with its default options), ``alpha`` (0.9), constant over the run; the
    paper's corollary 1 lets it rise from 0 towards 1 as the learning rate falls.

    Heads: as for the method.

    Pitfall: the average is no solution for the step's gradients. It may conflict with a task where the method would not, and
    lags about 1 / (1 - alpha) steps behind. As exact as the method.
    """

    def __init__(self, num_tasks: int, method: str = "mgda", alpha: float = 0.9, seed: int = 0) -> None:
        """Raises UserError if the method is unknown or alpha is not in [0, 1)."""
        if method not in METHODS or not 0 <= alpha < 1:
            raise UserError(
                f"cr_mogm: method {method!r} must be one of {', '.join(CR_MOGM_METHODS)}, alpha {alpha} from 0 to below 1."
            )
        super().__init__(num_tasks, "cr_mogm")
        self.alpha = alpha
        self.method = METHODS[method](num_tasks, seed)
        self.may_be_zero = self.method.may_be_zero
        self.average = state_variable([1.0] * num_tasks, "average")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "CRMOGM":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.cr_mogm_method, settings.cr_mogm_alpha, run.seed)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns alpha l_(t-1) + (1 - alpha) l."""
        return self.alpha * self.average + (1.0 - self.alpha) * super().weights(signals)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Stores the step's weights."""
        self.average.assign(self.weights(signals))

    def solve(self, gram: np.ndarray, losses: np.ndarray, step: int) -> np.ndarray:
        """Returns the method's weights l, before they are averaged."""
        return self.method.solve(gram, losses, step)
