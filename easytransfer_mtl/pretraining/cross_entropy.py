"""Cross entropy of tokens over the whole vocabulary, with scores that are inner products with the word embeddings.

The scores [P, V] are by far the largest tensor of a training step. They are computed once and read twice, in the forward and
the backward pass, each time in one compiled loop; TensorFlow's own operations would write four more tensors of this size.
"""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import own_graph

Gradients = tuple[tf.Tensor, ...]


@own_graph
def tied_cross_entropy(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns -log softmax(states x table^T + bias) of the labels, and whether each label has the highest score.

    Args:
        states: [P, E], float32 or bfloat16, which is the type of the matrix products; sums, softmax and results are float32.
        table: float32 [V, E].
        bias: float32 [V].
        labels: int32 [P].

    Returns:
        float32 [P] and float32 [P]; the second is 0 or 1 and has no gradient.
    """

    @tf.custom_gradient
    def losses(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor) -> tuple[tuple, Callable[..., Gradients]]:
        cast_table = tf.cast(table, states.dtype)
        scores = tf.matmul(states, cast_table, transpose_b=True)
        values, right, log_sums = _forward(scores, bias, labels)

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> Gradients:
            d_scores = _backward(scores, bias, labels, log_sums, upstream)
            d_table = tf.cast(tf.matmul(d_scores, states, transpose_a=True), tf.float32)
            # A product with ones is three times as fast as a sum in the compiled loop.
            d_bias = tf.cast(tf.matmul(tf.ones_like(states[:, :1]), d_scores, transpose_a=True), tf.float32)
            return tf.matmul(d_scores, cast_table), d_table, d_bias[0]

        return (values, right), gradient

    return losses(states, table, bias)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _forward(scores: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    values = tf.cast(scores, tf.float32) + bias
    greatest = tf.reduce_max(values, axis=-1)
    log_sums = greatest + tf.math.log(tf.reduce_sum(tf.exp(values - greatest[:, tf.newaxis]), axis=-1))
    own = tf.gather(tf.cast(scores, tf.float32), labels, batch_dims=1) + tf.gather(bias, labels)
    return log_sums - own, tf.cast(own >= greatest, tf.float32), log_sums


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _backward(scores: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor, log_sums: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    probabilities = tf.exp(tf.cast(scores, tf.float32) + bias - log_sums[:, tf.newaxis])
    is_label = tf.range(tf.shape(bias)[0]) == labels[:, tf.newaxis]
    d_values = (probabilities - tf.cast(is_label, tf.float32)) * upstream[:, tf.newaxis]
    return tf.cast(d_values, scores.dtype)
