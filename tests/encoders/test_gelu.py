"""The tanh GELU's own gradient is that of its formula."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.encoders.gelu import CUBIC, SCALE, tanh_gelu


def formula(inputs: tf.Tensor) -> tf.Tensor:
    """The definition, for automatic differentiation."""
    return 0.5 * inputs * (1.0 + tf.tanh(SCALE * (inputs + CUBIC * inputs**3)))


def test_values_and_gradient_equal_automatic_differentiation() -> None:
    inputs = tf.constant(np.concatenate([np.linspace(-12, 12, 2001), [0.0, -0.0, 1e-20, 50.0, -50.0]]), tf.float64)
    upstream = tf.cast(tf.linspace(-2.0, 3.0, inputs.shape[0]), tf.float64)
    results = []
    for function in (tanh_gelu, formula):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            values = function(inputs)
        results.append((values, tape.gradient(values, inputs, output_gradients=upstream)))
    # TensorFlow rounds the cubic term's constant to float32.
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-8)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-13)
