"""Gradients between the tape and the optimizer: EasyTransfer's clipping, freezing and idle heads."""

import re

import tensorflow as tf

Gradient = tf.Tensor | tf.IndexedSlices


def zeros_for_none(gradients: list[Gradient | None], variables: list[tf.Variable]) -> list[Gradient]:
    """Puts zeros where a variable has no gradient, as the original's conditional graph did for idle heads."""
    return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]


def densify_token_type(gradients: list[Gradient], variables: list[tf.Variable]) -> list[Gradient]:
    """Makes the token type embedding's gradient dense: the original looked token types up by a one-hot product."""
    return [tf.convert_to_tensor(g) if "token_type" in v.name else g for g, v in zip(gradients, variables)]


def clip_by_unsummed_norm(gradients: list[Gradient], clip_norm: float) -> tuple[list[Gradient], tf.Tensor]:
    """Clips by the global norm in which an embedding gradient counts row by row, without adding equal ids' rows.

    That is TF1's ``clip_by_global_norm`` on IndexedSlices, which EasyTransfer used.

    Returns:
        The clipped gradients and the norm before clipping (float32 []).
    """
    norm = tf.linalg.global_norm(gradients)
    clipped, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    return clipped, norm


def dense(gradients: list[Gradient]) -> list[tf.Tensor]:
    """Turns every gradient into a dense tensor."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def freeze_layers(gradients: list[tf.Tensor], variables: list[tf.Variable], num_layers: int) -> list[tf.Tensor]:
    """Zeroes the gradients of encoder layers 0 to ``num_layers`` - 1.

    Embeddings are not frozen, and AdamW still decays a frozen layer, both as in EasyTransfer (``num_freezed_layers``).
    """
    frozen = [re.search(r"layer_(?:\._)?(\d+)/", variable.name) for variable in variables]
    return [
        tf.zeros_like(gradient) if match and int(match.group(1)) < num_layers else gradient
        for gradient, match in zip(gradients, frozen)
    ]
