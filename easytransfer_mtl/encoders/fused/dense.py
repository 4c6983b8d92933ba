"""Dense layers over flat tokens."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import compiled


@tf.custom_gradient
def dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, ...]]]:
    """Returns inputs x kernel + bias [T, O], in the number format of the inputs.

    The bias's gradient is summed in float32; TensorFlow's own gradient sums bfloat16 in bfloat16.

    Args:
        inputs: [T, I], float32, bfloat16 or float16.
        kernel: [I, O], the type of ``inputs``.
        bias: float32 [O].
    """

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        d_inputs = tf.matmul(upstream, kernel, transpose_b=True)
        return d_inputs, tf.matmul(inputs, upstream, transpose_a=True), _column_sums(upstream)

    return tf.nn.bias_add(tf.matmul(inputs, kernel), tf.cast(bias, inputs.dtype)), gradient


@compiled
def _column_sums(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(values, tf.float32), axis=0)
