"""Dropout masks that are cheap enough to be drawn again in the gradient instead of being stored.

A mask is a hash of each value's position under two 32-bit keys; the keys come from Philox, a new pair for every layer and
step. Two rounds of a bijective integer mixer (multiplications and shifts, constants found by search:
https://nullprogram.com/blog/2018/07/31/) flip every bit of the result with a probability close to one half for each bit of
the position. Philox itself at every position would cost more than all element-wise work of the layers.
"""

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import own_graph

FIRST, SECOND = 0x7FEB352D, 0x846CA68B


def mask_keys(seed: tf.Tensor, part: tf.Tensor | int = 0) -> tf.Tensor:
    """Returns the keys of a mask, uint32 [3].

    Args:
        seed: int64 [2].
        part: number of this part, if tensors of the same shape are parts of one tensor along the first axis.
    """
    return _mask_keys(seed, tf.cast(part, tf.uint32))


@own_graph  # some 30 operations, which every dropout of a model would trace anew
def _mask_keys(seed: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    keys = tf.random.stateless_uniform([2], seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    return tf.concat([keys, [part]], axis=0)


def keep_mask(shape: tf.Tensor, keys: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns which values dropout keeps, bool of ``shape``, for use inside a compiled function.

    Args:
        shape: int32; at most 2^32 values in all parts.
        keys: from ``mask_keys``.
        rate: share of values to drop, exact to 2^-32.
    """
    size = tf.reduce_prod(shape)
    position = tf.cast(tf.reshape(tf.range(size), shape), tf.uint32) + keys[2] * tf.cast(size, tf.uint32)
    bits = _mix(_mix(position + keys[0]) ^ keys[1])
    return bits >= tf.constant(min(int(rate * 2**32), 2**32 - 1), tf.uint32)


def _mix(bits: tf.Tensor) -> tf.Tensor:
    bits = (bits ^ _shifted(bits, 16)) * tf.constant(FIRST, tf.uint32)
    bits = (bits ^ _shifted(bits, 15)) * tf.constant(SECOND, tf.uint32)
    return bits ^ _shifted(bits, 16)


def _shifted(bits: tf.Tensor, places: int) -> tf.Tensor:
    return tf.bitwise.right_shift(bits, tf.constant(places, tf.uint32))
