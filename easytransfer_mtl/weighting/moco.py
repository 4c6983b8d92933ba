"""MoCo: weights and step from running means of the tasks' gradients, whose noise averages out."""

from functools import partial

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, state_variable
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting
from easytransfer_mtl.weighting.simplex import projected
from easytransfer_mtl.weighting.task_sums import gram_of_rows, weighted_rows


class MoCo(ElementWeighting):
    """Fernando et al., "Mitigating gradient bias in multi-objective learning: a provably convergent approach", ICLR 2023.

    MGDA's weights are no linear function of the gradients, so that those of random batches are biased. MoCo tracks the
    gradients, y_i <- y_i - beta_t (y_i - g_i), moves the weights by one projected step towards MGDA's of the tracked ones,
    lambda <- P(lambda - gamma_t (Y'Y + rho I) lambda), P the projection onto the simplex, and goes along Y lambda; beta_t
    and gamma_t are beta and gamma divided by t^0.5. The step here is K times that: the weights sum to K.

    Options: ``beta`` (0.5), ``gamma`` (0.1), ``rho`` (0); ``decay`` (0.5), the power of t in both rates. Those are the
    defaults of LibMTL, which has the authors' code.

    It keeps a gradient of the shared, unfrozen variables for each task, in memory and in every checkpoint: K times their
    size. Heads and frozen layers have the step's own gradients times the weights.

    Pitfall: gamma is in units of an inverse squared gradient norm. Gradients of norm 0.01 leave the weights where they
    start, at 1; norms above 10 throw them from corner to corner of the simplex, where all but one task have weight 0. The
    step lags 1 / beta_t steps behind, ever more as beta_t falls, while the parameters move on: with Adam the contest's tasks
    were not learned at all unless ``decay`` was 0 (docs/weighting.md). Differs from the paper in the
    factor K, in no bound on the norm of y_i (neither has the authors' code), and in starting y_i at the first gradient
    instead of 0, which would make the first 1 / beta steps short. The authors' code has 2 gamma for gamma; LibMTL divides
    gradients by their norms, multiplies them by the losses, and takes a softmax for the projection.

    The projection is exact at any scale, so that the weights sum to K to 1e-6 and are the nearest ones.
    """

    may_be_zero = True
    kept_per_task = 1
    starving_cure = "lower --moco_gamma or raise --moco_rho, which holds the weights near 1"

    def __init__(self, num_tasks: int, beta: float = 0.5, gamma: float = 0.1, rho: float = 0.0, decay: float = 0.5) -> None:
        """Raises UserError if an option is out of its range."""
        if not (0 < beta <= 1 and gamma >= 0 and rho >= 0 and decay >= 0):
            raise UserError(
                f"moco: beta {beta} must be above 0 and at most 1, gamma {gamma}, rho {rho} and decay {decay} 0 or more."
            )
        super().__init__(num_tasks, "moco")
        self.beta, self.gamma, self.rho, self.decay = beta, gamma, rho, decay

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "MoCo":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.moco_beta, settings.moco_gamma, settings.moco_rho, settings.moco_decay)

    def build(self, variables: list[tf.Variable]) -> None:
        """Makes lambda and the tracked gradients."""
        self.shares = state_variable([1.0 / self.num_tasks] * self.num_tasks, "shares")
        self.count = state_variable(0.0, "count")
        self.tracked = [state_variable(tf.zeros([self.num_tasks, *variable.shape]), "tracked") for variable in variables]

    def combine(self, signals: Signals) -> Combination:
        """Returns K Y lambda with the moved Y and lambda."""
        count = self.count + 1.0
        share = tf.where(count > 1.0, self.beta / count**self.decay, 1.0)
        kept = [tf.convert_to_tensor(before) for before in self.tracked]  # a compiled function does not find a replica's own
        tracked = [followed(before, now, share) for before, now in zip(kept, signals.gradients, strict=True)]
        gram = tf.add_n([gram_of_rows(each) for each in tracked])
        gamma, rho = self.gamma / count**self.decay, self.rho
        inputs = [tf.convert_to_tensor(self.shares), gram, gamma]
        shares = tf.numpy_function(partial(moved_shares, rho=rho), inputs, tf.float32)
        shares = tf.ensure_shape(shares, [self.num_tasks])
        weights = self.num_tasks * shares
        return Combination([weighted_rows(weights, each) for each in tracked], weights, (shares, *tracked))

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Stores the moved Y and lambda."""
        for variable, value in zip((self.shares, *self.tracked), signals.moved, strict=True):
            variable.assign(value)
        self.count.assign(self.count + 1.0)


def moved_shares(shares: np.ndarray, gram: np.ndarray, rate: np.ndarray, rho: float) -> np.ndarray:
    """Returns the projection of lambda - rate (G + rho I) lambda, float32 [K]; NaN if G is not finite."""
    if not np.isfinite(gram).all():
        return np.full(len(shares), np.nan, np.float32)
    shares = shares.astype(np.float64)
    return projected(shares - float(rate) * (gram @ shares + rho * shares)).astype(np.float32)


@tf.function(jit_compile=True, autograph=False)
def followed(before: tf.Tensor, now: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns before + share (now - before)."""
    return before + share * (now - before)
