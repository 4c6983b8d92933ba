"""Homoscedastic uncertainty: weights from a learned variance per task."""

import tensorflow as tf

from easytransfer_mtl.config.weighting_settings import UNCERTAINTY_FORMS
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector


class Uncertainty(TaskWeighting):
    """Kendall, Gal and Cipolla, CVPR 2018; the revised form is Liebel and Koerner's of 2018.

    With s_i = ln sigma_i^2 learned, the objective's terms are

    - ``classification``: e^-s L + s / 2, weight e^-s, at rest 1 / (2 L);
    - ``regression``: e^-s L / 2 + s / 2, weight e^-s / 2, at rest 1 / (2 L);
    - ``revised``: L / (2 c^2) + ln(1 + c^2) with c^2 = e^s, weight e^-s / 2; the objective never is negative.

    The weights have their own scale. At rest they are about one over the loss: what is balanced is the logarithms of the
    losses, and nothing else of "uncertainty" is used.

    Options: ``form`` (classification), ``start`` (0) for s, ``learning_rate`` (0.025) of its Adam.

    Trap: at BERT's rate of 2e-5 s would hardly move and the method be ``equal``; so s has a rate of its own, and no decay
    and no clipping. The objective may be negative, which is no error; checkpoints are chosen by macro-F1.

    Departs from the authors' example, which writes e^-s L + s (at rest 1 / L), and from ports that add every task's s / 2
    in every step: a task without a batch in the step keeps its s, or s would fall without end.
    """

    def __init__(
        self, num_tasks: int, form: str = "classification", start: float = 0.0, learning_rate: float = LEARNING_RATE
    ) -> None:
        """Takes the options.

        Raises:
            UserError: the form is unknown.
        """
        if form not in UNCERTAINTY_FORMS:
            raise UserError(f"uncertainty: form {form!r} is unknown; allowed: {', '.join(UNCERTAINTY_FORMS)}.")
        super().__init__(num_tasks, "uncertainty")
        self.form = form
        self.log_variance = LearnedVector([start] * num_tasks, learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns e^-s, or half of it."""
        inverse = tf.exp(-self.log_variance.value)
        return inverse if self.form == "classification" else 0.5 * inverse

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves the active tasks' s down the objective's gradient."""
        s = self.log_variance.value
        rising = tf.sigmoid(s) if self.form == "revised" else 0.5
        self.log_variance.descend(rising - self.weights(signals) * signals.losses, signals.active)
