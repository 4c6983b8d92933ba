"""What every loss weighting is: what a step tells of K tasks, to K weights."""

from typing import NamedTuple

import tensorflow as tf


class Signals(NamedTuple):
    """What a train step tells the weighting; on several replicas the means over all of them.

    Attributes:
        losses: unweighted losses, float32 [K]; zero for a task that is not active.
        active: bool [K], the tasks that have a batch in this step.
        step: int64 [], steps before this one.
        accuracies: float32 [K], the share of each batch's rows that the model has right, where ``needs_accuracies``.
        gram: float64 [K, K], inner products of the unweighted losses' gradients, where ``needs_gram``.
    """

    losses: tf.Tensor
    active: tf.Tensor
    step: tf.Tensor
    accuracies: tf.Tensor | None = None
    gram: tf.Tensor | None = None


class TaskWeighting(tf.Module):
    """Turns what a step tells of the tasks into their weights in the training objective.

    The weights are constants to the model's gradient. Subclasses with state keep it in variables, which the checkpoint
    holds, and move it in ``update``.

    Attributes:
        num_tasks: K.
        needs_gram: whether ``weights`` needs the Gram matrix of the task gradients.
        needs_joint_step: whether a step must hold a batch of every task.
        needs_accuracies: whether ``update`` needs the accuracies.
        needs_losses_after: whether ``update`` needs the losses on the same batch after the step.
        may_be_zero: whether a weight can be exactly 0; such a task's head is left alone.
        gram_variables: what the Gram matrix is of, unless the user says.
        focal_gamma: power of (1 - p) that every row's cross entropy is multiplied by, p its label's probability.
    """

    needs_gram = False
    needs_joint_step = False
    needs_accuracies = False
    needs_losses_after = False
    may_be_zero = False
    gram_variables = "all"
    focal_gamma = 0.0

    def __init__(self, num_tasks: int, name: str) -> None:
        super().__init__(name=name)
        self.num_tasks = num_tasks

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the weights, float32 [K]."""
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves the method's own state after a step; methods without state do nothing.

        Args:
            signals: what ``weights`` was given.
            losses_after: float32 [K], where ``needs_losses_after``.
        """


def state_variable(value: tf.Tensor | list[float] | float, name: str) -> tf.Variable:
    """Makes a variable of a weighting's state; every replica sets its own, all to the same value."""
    return tf.Variable(
        value,
        dtype=tf.float32,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
