"""SDMGrad: MGDA's weights, held near the mean gradient, from the products of two independent batches' gradients."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts
from easytransfer_mtl.weighting.independent import IndependentWeighting
from easytransfer_mtl.weighting.simplex import projected

MOMENTUM = 0.5


class SDMGrad(IndependentWeighting):
    """Xiao, Ban and Ji, "Direction-oriented multi-objective learning: simple and provable stochastic algorithms", NeurIPS
    2023.

    The step is along g_w + lambda g_0, g_0 the mean gradient, where w on the simplex minimises ||g_w + lambda g_0||^2: 0 is
    MGDA, large lambda the plain mean. w takes some projected steps along G_1'(G_2 w + lambda g_0), with G_1 and G_2 the
    gradients of two independent batches, from where the step before left it; the step is of a third batch's gradients. The
    weights are (K w + lambda) / (1 + lambda) and sum to K.

    Options: ``lambda`` (0.3), ``steps`` (20) of w, ``rate`` (0.5) of these.

    Needs ``num_accumulated_batches`` 3. Pitfall: two thirds of the rows serve the weights alone. Differs from the paper, as
    the authors' code does, in taking one pair of batches for all steps of w, in a momentum of 0.5 for these, in dividing the
    products by the squared mean of the gradients' norms, so that a scale of all losses changes nothing, and in dividing the
    step by 1 + lambda; and in the factor K. The authors' rate is 5, TorchJD's 10, with which w jumps between corners where
    gradients are of like length and hardly agree.

    If noise makes all norms' estimates negative w stays. The projection is exact at any scale.
    """

    num_batches = 3
    starving_cure = "raise --sdmgrad_lambda, which holds the weights near 1"

    def __init__(self, num_tasks: int, regularizer: float = 0.3, steps: int = 20, rate: float = 0.5) -> None:
        """Raises UserError if an option is out of its range."""
        if not (regularizer >= 0 and steps >= 1 and rate >= 0):
            raise UserError(f"sdmgrad: lambda {regularizer} and rate {rate} must be 0 or more, steps {steps} 1 or more.")
        super().__init__(num_tasks, "sdmgrad")
        self.regularizer, self.steps, self.rate = regularizer, steps, rate
        self.may_be_zero = regularizer == 0

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "SDMGrad":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.sdmgrad_lambda, settings.sdmgrad_steps, settings.sdmgrad_rate)

    def weights_of(self, shares: tf.Tensor) -> tf.Tensor:
        """Returns K (w + lambda / K) / (1 + lambda)."""
        return (self.num_tasks * shares + self.regularizer) / (1.0 + self.regularizer)

    def moved(self, shares: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Returns w after its steps."""
        scale = np.sqrt(np.maximum(np.diag(products), 0.0)).mean()
        if scale <= 0:
            return shares
        products, velocity = products / scale / scale, np.zeros_like(shares)
        for _ in range(self.steps):
            velocity = MOMENTUM * velocity + products @ (shares + self.regularizer / len(shares))
            shares = projected(shares - self.rate * velocity)
        return shares
