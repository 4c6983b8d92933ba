"""Task-specific variables and layers: named for files, initial values from named random streams."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.seeding import truncated_normal

STDDEV = 0.02
"""Of initial values, as in BERT."""


class Drawn(tf_keras.initializers.Initializer):
    """Draws a truncated normal from a named random stream."""

    def __init__(self, stddev: float, seed: int, *names: str) -> None:
        """Takes the arguments of ``truncated_normal``."""
        self._stddev, self._seed, self._names = stddev, seed, names

    def __call__(self, shape: Any, dtype: Any = None, **more: Any) -> tf.Tensor:
        """Returns the values, float32 with the shape ``shape``."""
        return tf.constant(truncated_normal(tuple(shape), self._stddev, self._seed, *self._names))


def dense_layer(
    scope: str, name: str, width: int, units: int, seed: int, activation: str | None = None
) -> tf_keras.layers.Dense:
    """Returns a built dense layer: kernel truncated normal 0.02, bias 0.

    Args:
        scope: name of the layer that contains it; prefix of its variables' and random stream's names.
        name: name of the dense layer.
        width: of its input.
        units: of its output.
        seed: the run's.
        activation: Keras name, or None.
    """
    start = Drawn(STDDEV, seed, "own", scope, name)
    layer = tf_keras.layers.Dense(units, activation=activation, kernel_initializer=start, name=name)
    with tf.name_scope(f"{scope}/{name}"):
        layer.build((None, width))
    return layer


def own_variable(layer: tf_keras.layers.Layer, scope: str, name: str, value: np.ndarray) -> tf.Variable:
    """Adds a trainable variable to a layer, with the initial value ``value``."""
    with tf.name_scope(scope):
        return layer.add_weight(name, value.shape, initializer=tf.constant_initializer(value))


def drawn_variable(layer: tf_keras.layers.Layer, scope: str, name: str, shape: tuple[int, ...], seed: int) -> tf.Variable:
    """Adds a trainable variable to a layer, initialized as truncated normal 0.02 from the random stream of its name."""
    with tf.name_scope(scope):
        return layer.add_weight(name, shape, initializer=Drawn(STDDEV, seed, "own", scope, name))
