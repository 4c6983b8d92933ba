"""Rotary position embeddings: each pair of a head's values is a point in a plane, rotated by an angle set by its position.

Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, equation 34 (arXiv:2104.09864).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import compiled


@lru_cache(maxsize=4)
def position_table(positions: int, width: int) -> np.ndarray:
    """Returns the sines, then the cosines of position x 10000^(-2j / width) for j below width / 2, float32 [P, width]."""
    angles = np.arange(positions)[:, None] / np.power(10000, 2 * np.arange(width // 2) / width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def rotate(values: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Rotates the pairs (0, 1), (2, 3), ... of the last axis.

    Args:
        values: [B, A, S, D], float32, bfloat16 or float16; the result has the same type.
        table: the first S rows of ``position_table``, float32 [S, D].
    """
    sines, cosines = tf.split(table, 2, axis=-1)

    @tf.custom_gradient
    def rotated(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _turn(inputs, sines, cosines), lambda upstream: _turn(upstream, -sines, cosines)

    return rotated(values)


@compiled
def _turn(values: tf.Tensor, sines: tf.Tensor, cosines: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(values)
    pairs = tf.reshape(tf.cast(values, tf.float32), tf.concat([shape[:-1], [shape[-1] // 2, 2]], axis=0))
    first, second = pairs[..., 0], pairs[..., 1]
    turned = tf.stack([first * cosines - second * sines, second * cosines + first * sines], axis=-1)
    return tf.cast(tf.reshape(turned, shape), values.dtype)
