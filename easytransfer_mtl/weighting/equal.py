"""Equal weights: the plain sum of the losses."""

import tensorflow as tf

from easytransfer_mtl.weighting.base import Signals, TaskWeighting


class Equal(TaskWeighting):
    """L = sum of L_i: every weight is 1 (they sum to K), as in EasyTransfer's baseline.

    No options. Pitfall: the tasks do not have equal influence. It depends on the sizes of the losses (ln 15 against ln 3
    at the start) and, with one task per step under Adam, on how often each task is drawn.
    """

    works_alone = True

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks, "equal")

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns ones [K]."""
        return tf.ones_like(signals.losses)
