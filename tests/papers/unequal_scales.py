"""GradNorm's own example: regressions that are alike but for the size of their targets.

From Chen et al., "GradNorm", ICML 2018, section 4: y_i = sigma_i tanh((B + e_i) x); a trunk of ReLU layers, a linear head a
task, squared error. Equal weights learn the task of large sigma only.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from easytransfer_mtl.seeding import generator, truncated_normal
from easytransfer_mtl.weighting import Signals, TaskWeighting

INPUTS, OUTPUTS, WIDTH, DEPTH = 250, 100, 100, 4
TEST_ROWS, BATCH_SIZE = 1000, 128


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Attributes:
        weights: by step [N, K].
        shares: weighted gradient norms on the last shared layer, scaled to sum to K, by step [N, K].
        losses: by step [N, K].
        task_normalised_loss: mean over the tasks of test loss / test loss at the start.
    """

    weights: np.ndarray
    shares: np.ndarray
    losses: np.ndarray
    task_normalised_loss: float


class Network(tf.Module):
    """The trunk and the heads."""

    def __init__(self, num_tasks: int, seed: int) -> None:
        super().__init__()
        sizes = [INPUTS] + [WIDTH] * DEPTH
        shapes = [*zip(sizes[:-1], sizes[1:])]
        self.trunk = [
            (self._kernel(shape, seed, "trunk", layer), tf.Variable(tf.zeros(shape[1])))
            for layer, shape in enumerate(shapes)
        ]
        self.heads = [self._kernel((WIDTH, OUTPUTS), seed, "head", task) for task in range(num_tasks)]

    @staticmethod
    def _kernel(shape: tuple[int, int], seed: int, *names: str | int) -> tf.Variable:
        return tf.Variable(truncated_normal(shape, (2.0 / shape[0]) ** 0.5, seed, *names))

    def losses(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Returns the mean squared errors [K] of rows x [B, 250] and targets [K, B, 100]."""
        states = inputs
        for kernel, bias in self.trunk:
            states = tf.nn.relu(states @ kernel + bias)
        return tf.stack(
            [tf.reduce_mean(tf.square(states @ head - target)) for head, target in zip(self.heads, tf.unstack(targets))]
        )


class Toy:
    """The functions to learn, the network that learns them, and the weighting that it learns with."""

    def __init__(self, weighting: TaskWeighting, sigmas: list[float], seed: int) -> None:
        """Draws the functions and the network."""
        random = generator(seed, "toy")
        base = random.normal(0.0, 10.0, (INPUTS, OUTPUTS))
        self.maps = [tf.constant(base + random.normal(0.0, 3.5, base.shape), tf.float32) for _ in sigmas]
        self.sigmas, self.weighting, self.seed = sigmas, weighting, seed
        self.network = Network(len(sigmas), seed)
        self.optimizer = tf_keras.optimizers.Adam(1e-3, jit_compile=False)
        self.optimizer.build(self.network.trainable_variables)

    def losses(self, count: int, draw: tf.Tensor) -> tf.Tensor:
        """Returns the mean squared errors [K] on rows that depend on their number and ``draw`` alone."""
        inputs = tf.random.stateless_normal([count, INPUTS], tf.stack([self.seed, tf.cast(draw, tf.int32)]))
        targets = [sigma * tf.tanh(inputs @ matrix) for sigma, matrix in zip(self.sigmas, self.maps)]
        return self.network.losses(inputs, tf.stack(targets))

    @tf.function(autograph=False)
    def step(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Trains on fresh rows; returns weights, shares and losses [K]."""
        variables, last_layer = self.network.trainable_variables, self.network.trunk[-1][0]
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses(BATCH_SIZE, step)
            parts = tf.unstack(losses)
            with tape.stop_recording():
                shared = tf.stack([tf.reshape(tape.gradient(part, last_layer), [-1]) for part in parts])
                gram = tf.linalg.matmul(shared, shared, transpose_b=True)
                signals = Signals(losses, tf.ones_like(losses, tf.bool), step, gram=gram)
                weights = self.weighting.weights(signals)
            objective = tf.reduce_sum(weights * losses)
        self.optimizer.apply_gradients(zip(tape.gradient(objective, variables), variables))
        self.weighting.update(signals)
        norms = weights * tf.sqrt(tf.linalg.diag_part(gram))
        return weights, norms * len(self.sigmas) / tf.reduce_sum(norms), losses


def train(weighting: TaskWeighting, sigmas: list[float], steps: int, seed: int = 0) -> Training:
    """Trains with Adam at a rate of 0.001 on fresh rows, x ~ N(0, 1).

    Args:
        weighting: of as many tasks as there are sigmas.
        sigmas: sizes of the tasks' targets.
        steps: how many.
        seed: of the functions, the rows and the network.
    """
    toy = Toy(weighting, sigmas, seed)
    test_draw = tf.constant(-1)
    first = toy.losses(TEST_ROWS, test_draw)
    seen = [[value.numpy() for value in toy.step(tf.constant(step, tf.int64))] for step in range(steps)]
    last = toy.losses(TEST_ROWS, test_draw)
    weights, shares, losses = (np.array(part) for part in zip(*seen))
    return Training(weights, shares, losses, float(tf.reduce_mean(last / first)))
