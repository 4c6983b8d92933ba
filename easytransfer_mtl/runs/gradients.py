"""Gradient processing between the tape and the optimizer: EasyTransfer's clipping, freezing and idle heads."""

import re
from typing import TypeAlias

import tensorflow as tf
import tf_keras

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def zeros_for_none(gradients: list[Gradient | None], variables: list[tf.Variable]) -> list[Gradient]:
    """Replaces missing gradients by zeros, as the original's conditional graph did for idle heads."""
    return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]


def densify_small_tables(gradients: list[Gradient], variables: list[tf.Variable]) -> list[Gradient]:
    """Makes the gradients of the token type and position embeddings dense.

    The original looked up token types by a one-hot product. It sliced the position table, so that each position counts once
    in the norm, which would not hold for separate rows from several replicas.
    """
    small = [re.search(r"token_type_embeddings|position_embeddings", variable.name) for variable in variables]
    return [tf.convert_to_tensor(gradient) if match else gradient for gradient, match in zip(gradients, small)]


def unsummed_norm(gradients: list[Gradient]) -> tf.Tensor:
    """Returns the global norm in which the rows of embedding gradients count separately, rows of equal ids too.

    This is the norm of TF1's ``clip_by_global_norm`` on IndexedSlices, which EasyTransfer used.
    """
    return tf.linalg.global_norm(gradients)


def clip_factor(norm: tf.Tensor, clip_norm: float | None) -> tf.Tensor:
    """Returns the factor by which ``clip_by_global_norm`` scales gradients with this norm; NaN if the norm is not finite."""
    if clip_norm is None:
        return tf.ones_like(norm)
    factor = clip_norm * tf.minimum(1.0 / norm, 1.0 / clip_norm)
    return tf.where(tf.math.is_finite(norm), factor, norm - norm)


def apply_scaled(
    optimizer: tf_keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: list[tf.Variable], factor: tf.Tensor
) -> None:
    """Does an optimizer step with the gradients, which are equal on all replicas, multiplied by ``factor``.

    An optimizer with a ``gradient_factor`` multiplies in its own update, which saves a pass over all gradients.
    """
    if hasattr(optimizer, "gradient_factor"):
        optimizer.gradient_factor = factor
        optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)
        optimizer.gradient_factor = 1.0
    else:
        scaled = [(factor * gradient, variable) for gradient, variable in zip(gradients, variables)]
        optimizer.apply_gradients(scaled, skip_gradients_aggregation=True)


def dense(gradients: list[Gradient]) -> list[tf.Tensor]:
    """Converts every gradient to a dense tensor."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def freeze(gradients: list[tf.Tensor], variables: list[tf.Variable], frozen: list[tf.Variable]) -> list[tf.Tensor]:
    """Sets the gradients of the frozen variables, those of the encoder's first layers, to zero.

    Embeddings are not frozen, and AdamW still decays a frozen layer, both as in EasyTransfer (``num_freezed_layers``).
    """
    places = positions_of(frozen, variables)
    return [tf.zeros_like(gradient) if place in places else gradient for place, gradient in enumerate(gradients)]


def dense_where_any(gradients: list[Gradient | None]) -> list[tf.Tensor | None]:
    """Converts every gradient except None to a dense tensor."""
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]


def added(gradients: list[tf.Tensor], others: list[Gradient | None]) -> list[tf.Tensor]:
    """Returns the sums of dense gradients and of others of any kind, which may be None."""
    return [one if other is None else one + other for one, other in zip(gradients, dense_where_any(others), strict=True)]


def positions_of(some: list[tf.Variable], variables: list[tf.Variable]) -> set[int]:
    """Returns the positions of ``some`` variables in ``variables``."""
    wanted = {id(variable) for variable in some}
    return {place for place, variable in enumerate(variables) if id(variable) in wanted}


def copies_summed(gradient: Gradient | None, size: tf.Tensor) -> Gradient | None:
    """Sums the gradient rows of the two copies of each token, in an embedding gradient of an R-Drop batch made by ``twice``.

    Both copies stand for one token of one row, so that without dropout ``unsummed_norm`` is the same as without R-Drop.
    Where token dropout replaced the token in one copy, the rows stay separate. Any other gradient is returned unchanged.

    Args:
        gradient: the embedding table's gradient; for each look-up, its rows are the tokens of the first copies, then of the
            second.
        size: number of tokens in the batch before ``twice``, int32 [].
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

    # A user-defined model may look up something other than one row per token.
    is_of_copies = tf.equal(tf.size(gradient.indices) % (2 * size), 0)
    values = tf.cond(is_of_copies, summed, lambda: gradient.values)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
