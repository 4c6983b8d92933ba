"""Measures every task's gradient at one point, whatever the step trains."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.pipeline import TaskBatches
from easytransfer_mtl.models.joint_step import task_gram
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.weighting.gram import norms_of


class GradientProbe:
    """A look at a batch of every task every few steps; costs about a joint step and changes nothing."""

    def __init__(self, batches: TaskBatches, every: int) -> None:
        """Takes the tasks' batches, and steps between measurements; 0 is never."""
        self.batches, self.every = batches, every
        self._gram: tf.types.experimental.PolymorphicFunction | None = None

    def due(self, step: int) -> bool:
        """Tells whether to measure after a step."""
        return self.every > 0 and step % self.every == 0

    def measure(self, model: MultiTaskModel, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns losses [K] and the Gram matrix [K, K] of their gradients on batches that depend on the step alone."""
        if self._gram is None:
            self._gram = tf.function(lambda batches: task_gram(model, batches), autograph=False, reduce_retracing=True)
        batches = self.batches.of_all(step // len(self.batches.orders))
        losses, gram = self._gram(tf.nest.map_structure(tf.constant, batches))
        return losses.numpy(), gram.numpy()


def shares(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns each task's share of the weighted gradient norms, which sum to 1 [K]; zeros if there are none."""
    norms = np.abs(weights) * norms_of(gram)
    return norms / norms.sum() if norms.sum() > 0 else norms


def cosines(gram: np.ndarray) -> np.ndarray:
    """Returns the cosines between the gradients [K, K]; NaN where one is zero."""
    norms = norms_of(gram)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gram / np.outer(norms, norms)
