"""The loss of learning a teacher's probabilities beside the labels."""

from dataclasses import dataclass

import tensorflow as tf

from easytransfer_mtl.config.train_settings import DistillationSettings
from easytransfer_mtl.models.task_loss import TaskLoss


@dataclass(frozen=True)
class Distillation:
    """h L + (1 - h) T^2 KL(q || p): L is the labels' loss, h the hard share, T the temperature.

    p is the student's, q the teacher's distribution at the temperature T: see ``divergence`` of the task's loss, which says
    what takes the place of the second term where a row has another target than one label.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", NIPS Deep Learning Workshop 2014
    (arXiv:1503.02531, 2015). They write the cross entropy of q and p, which differs from KL by the entropy of q, a constant:
    the gradients are the same, and KL is 0 for a student that equals its teacher.

    Attributes:
        temperature: T, above 0.
        hard_share: h, from 0 to below 1.
        unlabelled: whether batches may have rows without a label (``NO_LABEL``). These have the second term only: L is the
            sum over the labelled rows, divided by the number of all rows.
    """

    temperature: float
    hard_share: float
    unlabelled: bool = False

    def loss(self, of_task: TaskLoss, logits: tf.Tensor, teacher: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean of T^2 KL(q || p) over the rows, or their tags, float32 [].

        Args:
            of_task: the task's loss, which knows what the logits are of.
            logits: the student's, [B, C], of tags [B, S, C], or with M dropout masks of each row before B.
            teacher: what the teacher says, float32, see ``EncodedRows``.
            label_ids: of the same rows; only tags need them.
        """
        return of_task.mean_divergence(logits, teacher, label_ids, self.temperature)

    def mixture(self, labels_loss: tf.Tensor, teachers_loss: tf.Tensor) -> tf.Tensor:
        """Returns what is minimized, float32 []: h times the first plus 1 - h times the second loss."""
        return self.hard_share * labels_loss + (1.0 - self.hard_share) * teachers_loss


def make_distillation(settings: DistillationSettings) -> Distillation | None:
    """Returns the distillation that the settings describe, or None without a teacher."""
    if not settings.teacher:
        return None
    unlabelled = settings.distillation_unlabelled_fp is not None
    return Distillation(settings.distillation_temperature, settings.distillation_hard_share, unlabelled)
