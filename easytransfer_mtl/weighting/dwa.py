"""Dynamic weight average: the tasks whose losses fall slowest get the largest weights."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting, state_variable


class DWA(TaskWeighting):
    """Liu, Johns and Davison, "End-to-end multi-task learning with attention", CVPR 2019.

    w_k = K softmax_k(r_k / T), r_k = mean loss of the last epoch / mean loss of the epoch before; r = 1 in the first two
    epochs. The means are of unweighted training losses. The weights sum to K.

    Options: ``temperature`` T (2), ``steps_per_epoch`` (EasyTransfer's epoch: training rows / rows per step).

    Pitfall: the effect is weak (r, and so the weights, stay near 1), and the scales of the losses are ignored. Public
    implementations use windows of 25 steps or ratios between single steps instead of epochs, or let the weights sum to 1;
    this one follows the paper.

    With one task per step every task has its own count; a task without a batch in an epoch keeps its last mean. Differs from
    the paper if a mean is 0, which the paper leaves undefined: r is then 1.
    """

    starving_cure = "raise --dwa_temperature, since the ratio of two losses near 0 can be large"

    def __init__(self, num_tasks: int, steps_per_epoch: int, temperature: float = 2.0) -> None:
        """Raises UserError if an option is not greater than 0."""
        if not temperature > 0 or steps_per_epoch < 1:
            raise UserError(f"dwa: temperature {temperature} and steps per epoch {steps_per_epoch} must be more than 0.")
        super().__init__(num_tasks, "dwa")
        self.temperature = temperature
        self.steps_per_epoch = steps_per_epoch
        zeros = [0.0] * num_tasks
        self._sum, self._count = state_variable(zeros, "sum"), state_variable(zeros, "count")
        self._epochs = state_variable(0.0, "epochs")
        self.last_mean, self.mean_before = state_variable(zeros, "last_mean"), state_variable(zeros, "mean_before")

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "DWA":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.dwa_steps_per_epoch or run.steps_per_epoch, settings.dwa_temperature)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns K softmax(r / T)."""
        known = (self.last_mean > 0.0) & (self.mean_before > 0.0)
        ratios = tf.where(known, tf.math.divide_no_nan(self.last_mean, self.mean_before), 1.0)
        return self.num_tasks * tf.nn.softmax(ratios / self.temperature)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Adds the step's losses to the epoch's sums; at the end of the epoch stores their means."""
        total = self._sum + tf.where(signals.active, signals.losses, 0.0)
        count = self._count + tf.cast(signals.active, tf.float32)
        # Not ``step % steps_per_epoch``: the last step of an epoch may have been skipped.
        epochs = tf.cast((signals.step + 1) // self.steps_per_epoch, tf.float32)
        ends = epochs > self._epochs
        rolls = ends & (count > 0.0)
        self.mean_before.assign(tf.where(rolls, self.last_mean, self.mean_before))
        self.last_mean.assign(tf.where(rolls, tf.math.divide_no_nan(total, count), self.last_mean))
        self._epochs.assign(epochs)
        self._sum.assign(tf.where(ends, 0.0, total))
        self._count.assign(tf.where(ends, 0.0, count))
