"""Variables and layers that single tasks own: named for files, first values from named random streams."""

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.seeding import truncated_normal

STDDEV = 0.02
"""Of first values, as BERT's."""


def dense_layer(
    scope: str, name: str, width: int, units: int, seed: int, activation: str | None = None
) -> tf_keras.layers.Dense:
    """Returns a built dense layer: kernel truncated normal 0.02, bias 0.

    Args:
        scope: name of the layer that it is in, which names its variables and streams.
        name: its own.
        width: of what it reads.
        units: of what it gives.
        seed: the run's.
        activation: of Keras, or None.
    """
    layer = tf_keras.layers.Dense(units, activation=activation, name=name)
    with tf.name_scope(f"{scope}/{name}"):
        layer.build((None, width))
    layer.set_weights([truncated_normal((width, units), STDDEV, seed, "own", scope, name), np.zeros(units, np.float32)])
    return layer


def own_variable(layer: tf_keras.layers.Layer, scope: str, name: str, value: np.ndarray) -> tf.Variable:
    """Gives a layer a trainable variable that starts as ``value``."""
    with tf.name_scope(scope):
        return layer.add_weight(name, value.shape, initializer=tf.constant_initializer(value))


def drawn_variable(layer: tf_keras.layers.Layer, scope: str, name: str, shape: tuple[int, ...], seed: int) -> tf.Variable:
    """The same, starting as truncated normal 0.02 of the stream of its name."""
    return own_variable(layer, scope, name, truncated_normal(shape, STDDEV, seed, "own", scope, name))
