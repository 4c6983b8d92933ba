"""The mean of the tasks' gradients without the extremes, element by element: a robust baseline."""

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting.base import RunFacts, Signals
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting


class TrimmedMean(ElementWeighting):
    """Yin et al., "Byzantine-robust distributed learning: towards optimal statistical rates", ICML 2018.

    At each element of the shared variables' gradients the b largest and the b smallest of the K values are left out; the
    step is K times the mean of the others, so that ``trim_number`` 0 gives ``equal``, and with 2 b = K - 1 it is the median.

    Option: ``trim_number`` b (1), 2 b < K.

    The log's weight of a task is the share of its squared gradient whose elements are within what is kept, 0 to 1. Heads and
    frozen layers get the plain sum, whatever ``scale_heads`` says.

    Pitfall: made for workers that share one task, of whom at most b are wrong. Of different tasks it keeps what lies in the
    middle: where most tasks hardly move an element, the one that does is left out, and may never be trained. Needs more than
    2 b tasks. Differs from the paper in the factor K, and in taking a number where the paper takes a share of the workers.

    Only kept values are added, so that the error is that of a sum of K - 2 b numbers, whatever was left out.
    """

    weighs_losses = False
    starving_cure = "lower --trimmed_mean_trim_number, or choose another method"

    def __init__(self, num_tasks: int, trim_number: int = 1) -> None:
        """Raises UserError if nothing is left after trimming."""
        if not 0 <= 2 * trim_number < num_tasks:
            raise UserError(
                f"trimmed_mean: {num_tasks} tasks are too few for trim_number {trim_number}; there must be more than twice "
                "as many tasks. Choose a smaller --trimmed_mean_trim_number, or another --loss_weighting."
            )
        super().__init__(num_tasks, "trimmed_mean")
        self.trim_number = trim_number

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "TrimmedMean":
        """Builds the weighting from a run's settings."""
        return cls(run.num_tasks, settings.trimmed_mean_trim_number)

    def combine(self, signals: Signals) -> Combination:
        """Returns K times the trimmed means, and the shares within what is kept."""
        found = [trimmed_sum(gradients, self.trim_number) for gradients in signals.gradients]
        kept, whole = (tf.add_n(list(squares)) for squares in list(zip(*found))[1:])
        shares = tf.where(whole > 0, kept / whole, 1.0)
        factor = self.num_tasks / (self.num_tasks - 2 * self.trim_number)
        factor = tf.where(tf.reduce_all(tf.math.is_finite(whole)), factor, float("nan"))  # infinity would be trimmed unseen
        return Combination([factor * total for total, _, _ in found], tf.cast(shares, tf.float32))


@tf.function(jit_compile=True, autograph=False)
def trimmed_sum(gradients: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the sum of what is kept [*shape], and the squared lengths of what is within it and of all, float64 [K] each.

    Minima and maxima of pairs bring the extremes to the ends, which is 50 times as fast as TensorFlow's sorting.

    Args:
        gradients: [K, *shape].
        number: how many are left out at each end.
    """
    tasks = tf.unstack(gradients)
    values = list(tasks)
    for end in range(number):
        for place in range(end, len(values) - 1 - end):
            values[place], values[place + 1] = _in_order(values[place], values[place + 1])
        for place in range(len(values) - 2 - end, end, -1):
            values[place - 1], values[place] = _in_order(values[place - 1], values[place])
    within = values[number : len(values) - number]
    lowest, highest, kept, whole = within[0], within[0], [], []
    for value in within[1:]:
        lowest, highest = tf.minimum(lowest, value), tf.maximum(highest, value)
    for task in tasks:
        squares = tf.reshape(tf.cast(task, tf.float64), [-1]) ** 2
        inside = tf.reshape((lowest <= task) & (task <= highest), [-1])
        kept.append(tf.reduce_sum(tf.where(inside, squares, 0.0)))
        whole.append(tf.reduce_sum(squares))
    return sum(within), tf.stack(kept), tf.stack(whole)


def _in_order(one: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.minimum(one, other), tf.maximum(one, other)
