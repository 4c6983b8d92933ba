"""Gradients between the tape and the optimizer: EasyTransfer's clipping, freezing and idle heads."""

import re

import tensorflow as tf
import tf_keras

Gradient = tf.Tensor | tf.IndexedSlices


def zeros_for_none(gradients: list[Gradient | None], variables: list[tf.Variable]) -> list[Gradient]:
    """Puts zeros where a variable has no gradient, as the original's conditional graph did for idle heads."""
    return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]


def densify_small_tables(gradients: list[Gradient], variables: list[tf.Variable]) -> list[Gradient]:
    """Makes the gradients of token types and positions dense.

    The original looked token types up by a one-hot product. It sliced positions, so that each counts once in the norm,
    which rows of several replicas would not.
    """
    small = [re.search(r"token_type_embeddings|position_embeddings", variable.name) for variable in variables]
    return [tf.convert_to_tensor(gradient) if match else gradient for gradient, match in zip(gradients, small)]


def unsummed_norm(gradients: list[Gradient]) -> tf.Tensor:
    """Returns the global norm in which an embedding gradient counts row by row, without adding equal ids' rows.

    That is the norm of TF1's ``clip_by_global_norm`` on IndexedSlices, which EasyTransfer used.
    """
    return tf.linalg.global_norm(gradients)


def clip_factor(norm: tf.Tensor, clip_norm: float | None) -> tf.Tensor:
    """Returns what ``clip_by_global_norm`` multiplies gradients of a norm by: NaN if the norm is not finite."""
    if clip_norm is None:
        return tf.ones_like(norm)
    factor = clip_norm * tf.minimum(1.0 / norm, 1.0 / clip_norm)
    return tf.where(tf.math.is_finite(norm), factor, norm - norm)


def apply_scaled(
    optimizer: tf_keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: list[tf.Variable], factor: tf.Tensor
) -> None:
    """Does the optimizer's step with the gradients, which are equal on all replicas, times a factor.

    An optimizer with a ``gradient_factor`` multiplies inside its own update, which saves a pass over all gradients.
    """
    if hasattr(optimizer, "gradient_factor"):
        optimizer.gradient_factor = factor
        optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)
        optimizer.gradient_factor = 1.0
    else:
        scaled = [(factor * gradient, variable) for gradient, variable in zip(gradients, variables)]
        optimizer.apply_gradients(scaled, skip_gradients_aggregation=True)


def dense(gradients: list[Gradient]) -> list[tf.Tensor]:
    """Turns every gradient into a dense tensor."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def freeze(gradients: list[tf.Tensor], variables: list[tf.Variable], frozen: list[tf.Variable]) -> list[tf.Tensor]:
    """Zeroes the gradients of the variables that are frozen, the encoder's first layers.

    Embeddings are not frozen, and AdamW still decays a frozen layer, both as in EasyTransfer (``num_freezed_layers``).
    """
    places = positions_of(frozen, variables)
    return [tf.zeros_like(gradient) if place in places else gradient for place, gradient in enumerate(gradients)]


def dense_where_any(gradients: list[Gradient | None]) -> list[tf.Tensor | None]:
    """Turns every gradient that there is into a dense tensor."""
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]


def added(gradients: list[tf.Tensor], others: list[Gradient | None]) -> list[tf.Tensor]:
    """Returns the sums of dense gradients and others of any kind, where there are others."""
    return [one if other is None else one + other for one, other in zip(gradients, dense_where_any(others), strict=True)]


def positions_of(some: list[tf.Variable], variables: list[tf.Variable]) -> set[int]:
    """Returns the places that some of the variables have among all."""
    wanted = {id(variable) for variable in some}
    return {place for place, variable in enumerate(variables) if id(variable) in wanted}


def copies_summed(gradient: Gradient | None, size: tf.Tensor) -> Gradient | None:
    """Adds up the rows that the two copies of a token have in an embedding gradient of R-Drop's batch, as ``twice`` made it.

    The copies are one token of one row, so that ``unsummed_norm`` is without dropout what it is without R-Drop. Where token
    dropout shows one of them as another token they stay apart. Every other gradient stays as it is.

    Args:
        gradient: the table's; rows are tokens of the first copies, then of the second, once for each look-up.
        size: the batch's tokens before ``twice``, int32 [].
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient

    def summed() -> tf.Tensor:
        pairs = tf.reshape(gradient.values, tf.stack([-1, 2, size, gradient.values.shape[-1]]))
        ids = tf.reshape(gradient.indices, tf.stack([-1, 2, size]))
        same = tf.equal(ids[:, 0], ids[:, 1])[..., tf.newaxis]
        first, second = tf.unstack(pairs, axis=1)
        kept = tf.stack([first + tf.where(same, second, 0.0), tf.where(same, 0.0, second)], axis=1)
        return tf.reshape(kept, tf.shape(gradient.values))

    # What a model of one's own looks up may be other than a token each.
    is_of_copies = tf.equal(tf.size(gradient.indices) % (2 * size), 0)
    values = tf.cond(is_of_copies, summed, lambda: gradient.values)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)


@tf.function(jit_compile=True, autograph=False)
def weighted_sum(factors: tf.Tensor, parts: list[tf.Tensor]) -> tf.Tensor:
    """Returns the sum of tensors of one shape times factors [N], in one pass over them."""
    return sum(factors[place] * part for place, part in enumerate(parts))


def gram_matrix(gradients: list[list[tf.Tensor]]) -> tf.Tensor:
    """Returns the inner products of K gradients, each a list of dense tensors, float64 [K, K].

    Products and sums are float64: where gradients nearly cancel, float32 sums over millions of numbers leave nothing of
    what they differ by, and squares of small gradients nothing at all.
    """
    return tf.add_n([_inner_products(list(parts)) for parts in zip(*gradients, strict=True)])


@tf.function(jit_compile=True, autograph=False)
def _inner_products(parts: list[tf.Tensor]) -> tf.Tensor:
    """Returns those of K tensors of one shape, float64 [K, K], in one pass over them."""
    flat = [tf.reshape(tf.cast(part, tf.float64), [-1]) for part in parts]
    size = len(flat)
    found = {(one, other): tf.reduce_sum(flat[one] * flat[other]) for one in range(size) for other in range(one + 1)}
    rows = [[found[max(one, other), min(one, other)] for other in range(size)] for one in range(size)]
    return tf.stack([tf.stack(row) for row in rows])
