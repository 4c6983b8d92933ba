"""EasyTransfer's optimizers as Keras optimizers: Adam, its own AdamW, LAMB, Adagrad, Adadelta."""

import re

import tensorflow as tf
import tf_keras

from easytransfer_mtl.errors import UserError

OPTIMIZERS = ("adam", "lamb", "adagrad", "adadelta")
NO_DECAY = re.compile(r"LayerNorm|layer_norm|bias|gamma|beta")
Schedule = float | tf_keras.optimizers.schedules.LearningRateSchedule


def decays(variable: tf.Variable) -> bool:
    """Tells whether weight decay applies to a variable: not to LayerNorm and biases, by name as in EasyTransfer."""
    return not NO_DECAY.search(variable.name)


class AdamWeightDecay(tf_keras.optimizers.Adam):
    """EasyTransfer's AdamW: lr_t (m / (sqrt(v) + eps) + wd * variable), lr_t = lr sqrt(1 - b2^t) / (1 - b1^t).

    The decay is scaled by the bias-corrected rate, unlike Keras's and transformers' AdamW, which use the plain rate.
    """

    def __init__(self, learning_rate: Schedule, weight_decay_ratio: float) -> None:
        super().__init__(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-6, jit_compile=False, name="AdamWeightDecay")
        self.weight_decay_ratio = weight_decay_ratio

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Decays by the variable's value before the step, then does Adam's update."""
        if decays(variable):
            time = tf.cast(self.iterations + 1, tf.float32)
            correction = tf.sqrt(1.0 - tf.pow(self.beta_2, time)) / (1.0 - tf.pow(self.beta_1, time))
            decay = tf.cast(self.learning_rate, tf.float32) * correction * self.weight_decay_ratio * variable
        else:
            decay = None
        super().update_step(gradient, variable)
        if decay is not None:
            variable.assign_sub(decay)


class Lamb(tf_keras.optimizers.Adam):
    """LAMB (You et al. 2020, algorithm 2): Adam's direction with decoupled decay, rescaled per variable.

    r = m_hat / (sqrt(v_hat) + eps) + wd * x; x -= lr * (|x| / |r|) * r, the ratio being 1 where either norm is 0.
    LayerNorm and biases are neither decayed nor rescaled. EasyTransfer's own ``lamb`` fails on Python 3, so there are no
    numbers of it to keep.
    """

    def __init__(self, learning_rate: Schedule, weight_decay_ratio: float) -> None:
        super().__init__(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-6, jit_compile=False, name="Lamb")
        self.weight_decay_ratio = weight_decay_ratio

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves the moments, then the variable."""
        index = self._index_dict[self._var_key(variable)]
        m, v = self._momentums[index], self._velocities[index]
        m.assign_add((gradient - m) * (1.0 - self.beta_1))
        v.assign_add((tf.square(gradient) - v) * (1.0 - self.beta_2))
        time = tf.cast(self.iterations + 1, tf.float32)
        m_hat = m / (1.0 - tf.pow(self.beta_1, time))
        v_hat = v / (1.0 - tf.pow(self.beta_2, time))
        update = m_hat / (tf.sqrt(v_hat) + self.epsilon)
        ratio = tf.constant(1.0)
        if decays(variable):
            update += self.weight_decay_ratio * variable
            size, step = tf.norm(variable), tf.norm(update)
            ratio = tf.where((size > 0.0) & (step > 0.0), tf.math.divide_no_nan(size, step), 1.0)
        variable.assign_sub(tf.cast(self.learning_rate, tf.float32) * ratio * update)


def make_optimizer(name: str, learning_rate: Schedule, weight_decay_ratio: float) -> tf_keras.optimizers.Optimizer:
    """Builds an optimizer as EasyTransfer would.

    Args:
        name: one of ``OPTIMIZERS``.
        learning_rate: a number or a schedule.
        weight_decay_ratio: more than 0 turns ``adam`` into EasyTransfer's AdamW; used by ``lamb``; not by the others.

    Raises:
        UserError: the name is unknown.
    """
    if name == "adam":
        if weight_decay_ratio > 0:
            return AdamWeightDecay(learning_rate, weight_decay_ratio)
        return tf_keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.98, epsilon=1e-6, jit_compile=False)
    if name == "lamb":
        return Lamb(learning_rate, weight_decay_ratio)
    if name == "adagrad":
        return tf_keras.optimizers.Adagrad(learning_rate, initial_accumulator_value=0.1, epsilon=0.0, jit_compile=False)
    if name == "adadelta":
        return tf_keras.optimizers.Adadelta(learning_rate, rho=0.95, epsilon=1e-8, jit_compile=False)
    raise UserError(f"optimizer {name!r} is unknown; allowed: {', '.join(OPTIMIZERS)}.")
