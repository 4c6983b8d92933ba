"""Two regressions of known noise on one input, on which learned uncertainty can be checked.

After the example that comes with Kendall, Gal and Cipolla, CVPR 2018: y1 = 2 x + 8 + 10 e, y2 = 3 x + 3 + e.
"""

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.seeding import generator
from easytransfer_mtl.weighting import Signals, Uncertainty

ROWS, BATCH_SIZE, WIDTH = 100, 20, 256
SIGMAS = (10.0, 1.0)


class Regression:
    """One hidden layer, two outputs, and the weighting that learns with them."""

    def __init__(self, seed: int) -> None:
        """Draws the rows and the first weights."""
        random = generator(seed, "toy")
        x = random.standard_normal(ROWS)
        noise = random.standard_normal((2, ROWS))
        y = np.stack([2 * x + 8 + SIGMAS[0] * noise[0], 3 * x + 3 + SIGMAS[1] * noise[1]])
        self.inputs, self.targets = tf.constant(x[:, None], tf.float32), tf.constant(y.T, tf.float32)
        self.kernels = [
            tf.Variable(random.standard_normal((1, WIDTH)).astype(np.float32)),
            tf.Variable((random.standard_normal((WIDTH, 2)) / WIDTH**0.5).astype(np.float32)),
        ]
        self.biases = [tf.Variable(tf.zeros(WIDTH)), tf.Variable(tf.zeros(2))]
        self.optimizer = tf_keras.optimizers.Adam(1e-3, jit_compile=False)
        self.optimizer.build([*self.kernels, *self.biases])
        self.weighting = Uncertainty(2, "regression")
        self.seed = seed

    @tf.function(autograph=False)
    def epoch(self, number: tf.Tensor) -> tf.Tensor:
        """Trains on all rows in a new order; returns the mean squared errors [2]."""
        order = tf.random.experimental.stateless_shuffle(tf.range(ROWS), [self.seed, tf.cast(number, tf.int32)])
        parts = tf.split(order, ROWS // BATCH_SIZE)
        return tf.add_n([self._step(rows, number) for rows in parts]) / len(parts)

    def _step(self, rows: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(tf.gather(self.inputs, rows) @ self.kernels[0] + self.biases[0])
            errors = hidden @ self.kernels[1] + self.biases[1] - tf.gather(self.targets, rows)
            losses = tf.reduce_mean(tf.square(errors), axis=0)
            signals = Signals(tf.stop_gradient(losses), tf.ones(2, tf.bool), number)
            objective = tf.reduce_sum(self.weighting.weights(signals) * losses)
        variables = [*self.kernels, *self.biases]
        self.optimizer.apply_gradients(zip(tape.gradient(objective, variables), variables))
        self.weighting.update(signals)
        return losses


def learned_sigmas(epochs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Trains with Adam at a rate of 0.001.

    Args:
        epochs: passes over the 100 rows.
        seed: of the rows and the network.

    Returns:
        The sigmas that the weighting has learned after each epoch [epochs, 2], and the root mean square residuals of its
        rows [epochs, 2].
    """
    regression = Regression(seed)
    log_variances, errors = [], []
    for number in range(epochs):
        errors.append(regression.epoch(tf.constant(number, tf.int64)).numpy())
        log_variances.append(regression.weighting.log_variance.value.numpy())
    return np.exp(np.array(log_variances) / 2), np.sqrt(errors)
