"""What every loss weighting is: K losses to K weights."""

import tensorflow as tf


class TaskWeighting(tf.Module):
    """Turns the tasks' losses into their weights in the training objective.

    The weights are constants to the encoder's gradient. Subclasses with state keep it in variables, which the
    checkpoint holds.

    Attributes:
        num_tasks: K.
        needs_gram: whether ``weights`` needs the Gram matrix of the task gradients.
        needs_joint_step: whether a step must hold a batch of every task.
    """

    needs_gram = False
    needs_joint_step = False

    def __init__(self, num_tasks: int, name: str) -> None:
        super().__init__(name=name)
        self.num_tasks = num_tasks

    def weights(self, losses: tf.Tensor, active: tf.Tensor, gram: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the weights, float32 [K].

        Args:
            losses: float32 [K]; zero for a task that is not active.
            active: bool [K], the tasks that have a batch in this step.
            gram: float32 [K, K], inner products of the task gradients, where ``needs_gram``.
        """
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def update(self, losses: tf.Tensor, active: tf.Tensor, gram: tf.Tensor | None = None) -> None:
        """Moves the method's own state after a step; methods without state do nothing."""
