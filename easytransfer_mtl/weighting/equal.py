"""Equal weights: the plain sum of the losses."""

import tensorflow as tf

from easytransfer_mtl.weighting.base import TaskWeighting


class Equal(TaskWeighting):
    """Every weight is 1 (they sum to K), as in EasyTransfer's baseline."""

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "equal")

    def weights(self, losses: tf.Tensor, active: tf.Tensor, gram: tf.Tensor | None = None) -> tf.Tensor:
        """Returns ones [K]."""
        return tf.ones_like(losses)
