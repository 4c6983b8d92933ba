"""Dynamic loss scaling, which keeps small gradients from vanishing in float16.

The loss's gradient starts at a scale instead of 1, and every gradient is divided by it, in float32, before anything reads
it. If a gradient overflowed, the step is left out and the scale halved; after many steps without overflow it is doubled.

Source: Micikevicius et al., Mixed Precision Training (arXiv:1710.03740), section 3.2; the numbers are those of Keras's
LossScaleOptimizer. Scales are powers of two, so that scaling rounds nothing. Unlike Keras's, a step that is left out is
counted, and the next one gets the next batch.
"""

import tensorflow as tf

from easytransfer_mtl.runs.gradients import Gradient

SCALED = "float16"
"""The precision that needs it; bfloat16 has the range of float32."""
FIRST, SMALLEST, LARGEST = 2.0**15, 1.0, 2.0**24
STEPS_TO_DOUBLE = 2000


class LossScale(tf.Module):
    """The scale and its state.

    Attributes:
        scale: float32 [].
        good_steps: steps without overflow since the scale last changed, int64 [].
    """

    def __init__(self) -> None:
        super().__init__(name="loss_scale")
        self.scale = tf.Variable(FIRST, trainable=False, name="scale")
        self.good_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="good_steps")

    def gradients(self, tape: tf.GradientTape, target: tf.Tensor, variables: list[tf.Variable]) -> list[Gradient | None]:
        """Returns the gradients of a float32 [] target; not finite where they overflowed on the way."""
        scale = tf.identity(self.scale)
        found = tape.gradient(target, variables, output_gradients=scale)
        return [None if gradient is None else _multiplied(gradient, 1.0 / scale) for gradient in found]

    def overflowed(self, norm: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
        """Returns whether a smaller scale may make a step's gradients finite, bool [].

        It cannot if the losses, which are not scaled, are not finite, or if the scale is the smallest.

        Args:
            norm: of the gradients, float32 [].
            losses: of the tasks, float32 [K].
        """
        return ~tf.math.is_finite(norm) & tf.reduce_all(tf.math.is_finite(losses)) & (self.scale > SMALLEST)

    def update(self, overflowed: tf.Tensor) -> None:
        """Halves the scale after an overflow, doubles it after enough steps without one."""
        good = self.good_steps + 1
        grows = good >= STEPS_TO_DOUBLE
        grown = tf.where(grows, tf.minimum(2.0 * self.scale, LARGEST), self.scale)
        self.scale.assign(tf.where(overflowed, tf.maximum(0.5 * self.scale, SMALLEST), grown))
        self.good_steps.assign(tf.where(overflowed | grows, tf.zeros_like(good), good))


def _multiplied(gradient: Gradient, factor: tf.Tensor) -> Gradient:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
    return gradient * factor
