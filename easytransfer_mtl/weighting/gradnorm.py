"""GradNorm: weights that bring the tasks' gradient norms to targets given by their training rates."""

import math

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting, state_variable
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector

SMALLEST = 1e-3


class GradNorm(TaskWeighting):
    """Chen et al., "GradNorm", ICML 2018.

    With G_i = w_i ||g_i||, rates r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)) and the targets mean(G) r_i^alpha held
    constant, w does gradient descent on sum |G_i - target_i| and is then scaled to sum to K. Since G_i is linear in w_i, the
    gradient is exactly sign(G_i - target_i) ||g_i||: no second backward pass is needed.

    Options: ``alpha`` (1.5; 0.12 in the paper's toy example; 0 makes the norms equal), ``initial_losses`` (those of the
    first step; the paper suggests ln C for C classes if these are unstable), ``learning_rate`` (0.025) of w's Adam
    optimizer. The norms are computed on the variables of ``gram_variables``; the paper uses the last shared layer.

    Heads: scaled like all others, as in the paper (algorithm 1).

    Pitfall: the rates use unweighted losses, and the gradient reaches only w; several public implementations get one of
    these wrong. Adam's epsilon of 1e-8 is not scaled with the gradients: if all norms are below it, w hardly changes.
    Differs from the paper in clipping w at 0.001 before scaling, since Adam can push it below 0, and in a rate of 0 if all
    losses are 0.

    Undefined with one task per step: all norms must be taken at the same parameters.
    """

    needs_gram = True
    needs_joint_step = True
    gram_variables = "last_layer"

    def __init__(
        self,
        num_tasks: int,
        alpha: float = 1.5,
        initial_losses: list[float] | None = None,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        """Raises UserError if alpha is negative or not finite, or an initial loss is not positive."""
        if not (math.isfinite(alpha) and alpha >= 0) or any(not loss > 0 for loss in initial_losses or []):
            raise UserError(f"gradnorm: alpha {alpha} must be 0 or more, initial losses {initial_losses} more than 0.")
        super().__init__(num_tasks, "gradnorm")
        self.alpha = alpha
        self.learned = LearnedVector([1.0] * num_tasks, learning_rate)
        self.initial_losses = state_variable(initial_losses or [0.0] * num_tasks, "initial_losses")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "GradNorm":
        """Builds the weighting from a run's settings."""
        known = settings.gradnorm_initial_losses == "log_classes"
        initial = [math.log(count) for count in run.num_labels] if known else None
        return cls(run.num_tasks, settings.gradnorm_alpha, initial, settings.weighting_learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns w, which is positive and sums to K."""
        return tf.identity(self.learned.value)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Does one optimizer step on w."""
        self.initial_losses.assign(tf.where(self.initial_losses > 0.0, self.initial_losses, signals.losses))
        self.learned.descend(self.gradient(signals), signals.active)
        positive = tf.maximum(self.learned.value, SMALLEST)
        self.learned.value.assign(positive * self.num_tasks / tf.reduce_sum(positive))

    def gradient(self, signals: Signals) -> tf.Tensor:
        """Returns the gradient of sum |G_i - target_i| with respect to w, the targets held constant, float32 [K]."""
        norms = tf.cast(tf.sqrt(tf.maximum(tf.linalg.diag_part(signals.gram), 0.0)), tf.float32)
        ratios = tf.math.divide_no_nan(signals.losses, self.initial_losses)
        rates = tf.math.divide_no_nan(ratios, tf.reduce_mean(ratios))
        weighted = self.learned.value * norms
        return tf.sign(weighted - tf.reduce_mean(weighted) * rates**self.alpha) * norms
