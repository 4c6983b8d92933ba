"""Sums over the gradients of K tasks, each in one pass over them: weighted sums and inner products."""

import tensorflow as tf


@tf.function(jit_compile=True, autograph=False)
def weighted_sum(factors: tf.Tensor, parts: list[tf.Tensor]) -> tf.Tensor:
    """Returns the sum of N tensors of one shape, multiplied by ``factors`` [N], in one pass over them."""
    return sum(factors[place] * part for place, part in enumerate(parts))


@tf.function(jit_compile=True, autograph=False)
def weighted_rows(factors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the rows of a tensor [N, ...], multiplied by ``factors`` [N]."""
    return weighted_sum(factors, tf.unstack(rows))


def gram_matrix(gradients: list[list[tf.Tensor]]) -> tf.Tensor:
    """Returns the inner products of K gradients, each a list of dense tensors, float64 [K, K].

    Products and sums are float64: if gradients nearly cancel, float32 sums over millions of numbers lose their difference,
    and the squares of small gradients become 0.
    """
    return tf.add_n([_inner_products(list(parts)) for parts in zip(*gradients, strict=True)])


@tf.function(jit_compile=True, autograph=False)
def _inner_products(parts: list[tf.Tensor]) -> tf.Tensor:
    """Returns the inner products of K tensors of one shape, float64 [K, K], in one pass over them."""
    flat = [tf.reshape(tf.cast(part, tf.float64), [-1]) for part in parts]
    size = len(flat)
    found = {(one, other): tf.reduce_sum(flat[one] * flat[other]) for one in range(size) for other in range(one + 1)}
    rows = [[found[max(one, other), min(one, other)] for other in range(size)] for one in range(size)]
    return tf.stack([tf.stack(row) for row in rows])


@tf.function(jit_compile=True, autograph=False)
def gram_of_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns the inner products of the rows of a tensor [K, ...], float64 [K, K]."""
    return _inner_products(tf.unstack(rows))


def cross_gram_matrix(ones: list[list[tf.Tensor]], others: list[list[tf.Tensor]]) -> tf.Tensor:
    """Returns the inner products of K gradients with K others, float64 [K, K]: row i is of gradient i of ``ones``."""
    return tf.add_n([_cross_products(list(one), list(other)) for one, other in zip(zip(*ones), zip(*others), strict=True)])


@tf.function(jit_compile=True, autograph=False)
def _cross_products(ones: list[tf.Tensor], others: list[tf.Tensor]) -> tf.Tensor:
    """Returns the inner products of K tensors of one shape with K others of it, float64 [K, K]."""
    rows, columns = ([tf.reshape(tf.cast(part, tf.float64), [-1]) for part in parts] for parts in (ones, others))
    return tf.stack([tf.stack([tf.reduce_sum(row * column) for column in columns]) for row in rows])
