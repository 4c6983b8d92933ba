"""An encoded batch: the encoder's states and pooled output, which tasks read."""

from typing import NamedTuple

import tensorflow as tf

POOLED, SEQUENCE, LAYERS = "pooled", "sequence", "layers"
Reads = frozenset[str]
"""Any of ``POOLED``, ``SEQUENCE`` (the last layer's states) and ``LAYERS`` (all layers' states)."""


def inputs_of(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns a batch's input_ids, input_mask and segment_ids, int32 [B, S] each."""
    return features["input_ids"], features["input_mask"], features["segment_ids"]


class Encoded(NamedTuple):
    """An encoded batch; values that no task reads are left out.

    Attributes:
        input_ids: int32 [B, S].
        input_mask: int32 [B, S], 1 for tokens and 0 for padding.
        segment_ids: int32 [B, S].
        pooled: float32 [B, H], or None.
        sequence: the last layer's states, float32 [B, S, H], or None.
        layers: the embeddings' output and every layer's states, float32 [B, S, H] each; empty if not read.
        penalty: float32 [], term that the sharing structure adds to the loss for this batch.
    """

    input_ids: tf.Tensor
    input_mask: tf.Tensor
    segment_ids: tf.Tensor
    pooled: tf.Tensor | None
    sequence: tf.Tensor | None
    layers: tuple[tf.Tensor, ...]
    penalty: tf.Tensor
