"""Inverted dropout."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.encoders.fused.graphs import compiled, own_graph
from easytransfer_mtl.encoders.fused.masks import keep_mask


@own_graph
def dropout(inputs: tf.Tensor, keys: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns ``inputs`` with the share ``rate`` of the values zeroed and the others divided by 1 - ``rate``.

    Args:
        inputs: of any shape and number format.
        keys: uint32 [3], from ``mask_keys``.
        rate: from 0 to below 1.
    """

    @tf.custom_gradient
    def dropped(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _drop(values, keys, rate), lambda upstream: _drop(upstream, keys, rate)

    return dropped(inputs)


@compiled
def _drop(values: tf.Tensor, keys: tf.Tensor, rate: float) -> tf.Tensor:
    return tf.cast(drop(tf.cast(values, tf.float32), keys, rate), values.dtype)


def drop(values: tf.Tensor, keys: tf.Tensor | None, rate: float) -> tf.Tensor:
    """Applies dropout to float32 values inside a compiled function, without a gradient; None as keys is no dropout."""
    if keys is None or rate == 0.0:
        return values
    return tf.where(keep_mask(tf.shape(values), keys, rate), values * (1.0 / (1.0 - rate)), tf.zeros_like(values))
