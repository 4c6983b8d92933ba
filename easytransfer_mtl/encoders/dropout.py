"""Dropout whose mask is a function of the run's seed, the layer's name and the step, so that no state has to be stored."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.fused.dropout import dropout
from easytransfer_mtl.encoders.fused.masks import mask_keys
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import stream_seed


class DropoutClock(tf.Module):
    """The time of training: set by the model's train step, read by all its ``SeededDropout`` layers.

    Attributes:
        seed: the run's seed.
        time: int64 variable; equal times give equal masks.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(name="dropout_clock")
        self.seed = seed
        # Every replica sets its own copy, to the same time.
        self.time = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="dropout_time",
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


class SeededDropout(tf_keras.layers.Layer):
    """Inverted dropout: in training each value is zeroed with probability ``rate``, the others divided by 1 - ``rate``."""

    def __init__(self, rate: float, stream: str, clock: DropoutClock) -> None:
        """Takes the rate, a stream name that is unique among the model's dropouts, and the model's clock.

        Raises:
            UserError: the rate is not from 0 to below 1.
        """
        if not 0.0 <= rate < 1.0:
            raise UserError(f"dropout of {stream}: the rate is {rate}; it must be from 0 to below 1.")
        super().__init__(name=f"dropout_{stream.replace('/', '_')}")
        self.rate = rate
        self._key = stream_seed(clock.seed, "dropout", stream)
        self._time = clock.time

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns ``inputs`` with dropout in training, unchanged otherwise."""
        if not training or self.rate == 0.0:
            return inputs
        return dropout(inputs, self.mask_keys(), self.rate)

    def mask_keys(self) -> tf.Tensor:
        """Returns the keys of this replica's part of the mask at the current time, uint32 [3]."""
        return keys_at(self._time, self._key)


def keys_at(time: tf.Variable, stream: int) -> tf.Tensor:
    """Returns the keys of this replica's part of a mask, uint32 [3].

    Args:
        time: the variable ``DropoutClock.time``.
        stream: seed of the mask's stream.
    """
    context = tf.distribute.get_replica_context()
    part = 0 if context is None else context.replica_id_in_sync_group
    return mask_keys(tf.stack([tf.constant(stream, tf.int64), time]), part)


def uniform_at(time: tf.Variable, stream: int, shape: list[int | tf.Tensor] | tf.Tensor) -> tf.Tensor:
    """Returns numbers from 0 to below 1, float32 of ``shape``, new ones at every time; arguments as in ``keys_at``."""
    keys = tf.bitcast(keys_at(time, stream), tf.int32)
    return tf.random.stateless_uniform(shape, tf.stack([keys[0], keys[1] + keys[2]]), alg="philox")


def use_seeded_dropout(
    layer: tf_keras.layers.Layer, clock: DropoutClock, others: tuple[type[tf_keras.layers.Layer], ...] = ()
) -> int:
    """Replaces every Keras dropout below ``layer`` by a ``SeededDropout``; returns the number of replaced layers.

    Args:
        layer: where to search.
        clock: drives the new layers.
        others: further dropout classes to replace, which have ``drop_prob`` instead of Keras's ``rate``.
    """
    places = [
        (path, owner, name)
        for path, owner in _walk(layer, layer.name)
        for name, value in list(vars(owner).items())
        if isinstance(value, (tf_keras.layers.Dropout, *others))
    ]
    for path, owner, name in places:
        replaced = getattr(owner, name)
        rate = replaced.drop_prob if isinstance(replaced, others) else replaced.rate
        setattr(owner, name, SeededDropout(rate, f"{path}/{name}", clock))
    return len(places)


def _walk(layer: tf_keras.layers.Layer, path: str) -> list[tuple[str, tf_keras.layers.Layer]]:
    """Returns (path, layer) for ``layer`` and every layer below it; the paths distinguish layers of the same name."""
    found = [(path, layer)]
    for child in layer._flatten_layers(recursive=False, include_self=False):
        found += _walk(child, f"{path}/{child.name}")
    return found
