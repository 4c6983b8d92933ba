"""GLS: the geometric mean of the losses."""

import tensorflow as tf

from easytransfer_mtl.weighting.base import Signals, TaskWeighting

TINY = 1e-8


class GLS(TaskWeighting):
    """Chennupati et al., "MultiNet++: multi-stream feature aggregation and geometric loss strategy", CVPR workshops 2019.

    The objective is the geometric mean of the losses, (prod L_i)^(1 / K), here times K. The weights are its derivatives,
    mean / L_i: their product is 1, and for equal losses they are those of ``equal``. Scaling one loss scales all tasks'
    gradients alike.

    No options. Pitfall: a task that is learned to a loss near 0 gets nearly all the weight, and the step of the others falls
    with it. Differs from the paper in the factor K, and in taking losses below 1e-8 as 1e-8, since the derivatives are
    unbounded at 0. The weights are exact to 1e-5 for losses from 1e-8 to 1e8.

    Undefined with one task per step.
    """

    needs_joint_step = True
    starving_cure = "choose a method that does not divide by the loss, for instance --loss_weighting=dwa or fixed"

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "gls")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the geometric mean / L."""
        logs = tf.math.log(tf.maximum(tf.cast(signals.losses, tf.float64), TINY))
        return tf.cast(tf.exp(tf.reduce_mean(logs) - logs), tf.float32)
