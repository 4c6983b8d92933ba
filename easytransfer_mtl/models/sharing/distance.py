"""Distances between tensors, for encoders tied to each other (soft sharing)."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import own_graph


def squared_distance(one: tf.Tensor | tf.Variable, other: tf.Tensor | tf.Variable) -> tf.Tensor:
    """Returns the sum of the squared differences of two tensors of the same shape, float32 [].

    The gradient goes to ``one`` only, and stores nothing of the tensors' size until the backward pass.
    """
    return _squared_distance(tf.convert_to_tensor(one), tf.convert_to_tensor(other))


@own_graph
@tf.custom_gradient
def _squared_distance(
    one: tf.Tensor, other: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # TensorFlow would replace None by constant zeros, which stay in memory as long as the graph.
        return 2.0 * upstream * (one - other), tf.raw_ops.ZerosLike(x=other)

    return tf.reduce_sum(tf.math.squared_difference(one, other)), gradient


def l2(squared: tf.Tensor) -> tf.Tensor:
    """Returns the square root, with gradient 0 at 0, the distance at which tied encoders start."""
    positive = squared > 0.0
    return tf.where(positive, tf.sqrt(tf.where(positive, squared, 1.0)), 0.0)
