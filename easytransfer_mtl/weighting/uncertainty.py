"""Homoscedastic uncertainty: weights from a learned variance per task."""

from collections.abc import Sequence

import tensorflow as tf

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import UNCERTAINTY_FORMS, WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector


class Uncertainty(TaskWeighting):
    """Kendall, Gal and Cipolla, CVPR 2018; the revised form is that of Liebel and Koerner, 2018.

    With learned s_i = ln sigma_i^2 the terms of the objective are

    - ``classification``: e^-s L + s / 2, weight e^-s, 1 / (2 L) at the optimum of s;
    - ``regression``: e^-s L / 2 + s / 2, weight e^-s / 2, 1 / (2 L) at the optimum of s: the likelihood of numbers, for
      tasks of the type ``score``;
    - ``revised``: L / (2 c^2) + ln(1 + c^2) with c^2 = e^s, weight e^-s / 2; the objective is never negative.

    The weights are not normalised. At the optimum they are about 1 / loss: the method balances the logarithms of the losses
    and uses nothing else of "uncertainty".

    Options: ``form`` (classification), for all tasks or for each, ``start`` (0), the initial s, ``learning_rate`` (0.025) of
    s's Adam optimizer.

    Pitfall: at BERT's learning rate of 2e-5 s would hardly change and the method would be ``equal``; therefore s has its own
    learning rate, without decay and clipping. The objective can be negative, which is not an error; checkpoints are chosen
    by macro-F1.

    Differs from the authors' example, which uses e^-s L + s (weight 1 / L at the optimum), and from ports that add s / 2 of
    every task in every step: a task without a batch in the step keeps its s, which would otherwise decrease without end.
    """

    def __init__(
        self,
        num_tasks: int,
        form: str | Sequence[str] = "classification",
        start: float = 0.0,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        """Raises UserError if a form is unknown."""
        forms = [form] * num_tasks if isinstance(form, str) else list(form)
        unknown = [one for one in forms if one not in UNCERTAINTY_FORMS]
        if unknown:
            raise UserError(f"uncertainty: form {unknown[0]!r} is unknown; allowed: {', '.join(UNCERTAINTY_FORMS)}.")
        super().__init__(num_tasks, "uncertainty")
        self._factors = tf.constant([1.0 if one == "classification" else 0.5 for one in forms])
        self._is_revised = tf.constant([one == "revised" for one in forms])
        self.log_variance = LearnedVector([start] * num_tasks, learning_rate)

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "Uncertainty":
        """Builds the weighting from a run's settings."""
        forms = list(by_task(settings, "uncertainty_form", run.task_names).values())
        return cls(run.num_tasks, forms, settings.uncertainty_start, settings.weighting_learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns e^-s, or half of it for the forms other than ``classification``."""
        return self._factors * tf.exp(-self.log_variance.value)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Updates s of the active tasks with the gradient of the objective."""
        s = self.log_variance.value
        rising = tf.where(self._is_revised, tf.sigmoid(s), 0.5)
        self.log_variance.descend(rising - self.weights(signals) * signals.losses, signals.active)
