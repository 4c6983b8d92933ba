"""IMTL-L: weights that bring every weighted loss to one size."""

import tensorflow as tf

from easytransfer_mtl.weighting.base import Signals, TaskWeighting
from easytransfer_mtl.weighting.learned import LEARNING_RATE, LearnedVector


class IMTLL(TaskWeighting):
    """Liu et al., "Towards impartial multi-task learning", ICLR 2021, the loss-balancing half.

    The objective is the sum of e^s_i L_i - s_i with s learned; the weight is e^s, at rest 1 / L: the same rest as a sum of
    log losses, and twice ``uncertainty``'s at the negated s. The weights have their own scale.

    Options: ``learning_rate`` (0.025) of the Adam that moves s, which starts at 0.

    Trap: as for ``uncertainty``, at the model's learning rate nothing would happen. Departs from the paper in nothing but
    that s has an optimizer of its own, and that a task without a batch in the step keeps its s.
    """

    def __init__(self, num_tasks: int, learning_rate: float = LEARNING_RATE) -> None:
        super().__init__(num_tasks, "imtl_l")
        self.log_scale = LearnedVector([0.0] * num_tasks, learning_rate)

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns e^s."""
        return tf.exp(self.log_scale.value)

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Moves the active tasks' s down the objective's gradient."""
        self.log_scale.descend(self.weights(signals) * signals.losses - 1.0, signals.active)
