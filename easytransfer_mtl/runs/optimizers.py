"""EasyTransfer's optimizers as Keras optimizers: Adam, its own AdamW, LAMB, Adagrad, Adadelta."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
import tf_keras

from easytransfer_mtl.errors import UserError

OPTIMIZERS = ("adam", "lamb", "adagrad", "adadelta")
NO_DECAY = re.compile(r"LayerNorm|layer_norm|bias|gamma|beta")
Schedule: TypeAlias = float | tf_keras.optimizers.schedules.LearningRateSchedule


def decays(variable: tf.Variable) -> bool:
    """Returns whether weight decay applies to a variable: not to LayerNorm and biases, by name as in EasyTransfer."""
    return not NO_DECAY.search(variable.name)


class VariableRates:
    """Scales the learning rate, and the weight decay that depends on it, for single variables."""

    _shares: tuple[float, ...] = ()

    def set_rate_shares(self, shares: Sequence[float]) -> None:
        """Sets a factor for each variable of the optimizer, in its order; an empty sequence means 1 for all."""
        self._shares = tuple(shares)

    def rate_share(self, variable: tf.Variable) -> float:
        """Returns a variable's factor."""
        optimizer: Any = self  # subclasses are Keras optimizers
        return self._shares[optimizer._index_dict[optimizer._var_key(variable)]] if self._shares else 1.0


class ScaledSteps(VariableRates):
    """Scales the whole step of Keras's own optimizers, which is linear in the learning rate."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates the slots as usual, and the variable by its share of the step."""
        share = self.rate_share(variable)
        keras: Any = super()
        if share == 1.0:
            keras.update_step(gradient, variable)
            return
        before = tf.identity(variable)
        keras.update_step(gradient, variable)
        variable.assign(before + share * (variable - before))


class Adagrad(ScaledSteps, tf_keras.optimizers.Adagrad):
    """Keras's Adagrad with a learning rate factor per variable."""


class Adadelta(ScaledSteps, tf_keras.optimizers.Adadelta):
    """Keras's Adadelta with a learning rate factor per variable."""


class Adam(VariableRates, tf_keras.optimizers.Adam):
    """Adam in TensorFlow 1's form, with EasyTransfer's weight decay: x -= lr_t (m / (sqrt(v) + eps) + wd x).

    lr_t = lr sqrt(1 - b2^t) / (1 - b1^t). The decay is scaled by this bias-corrected rate, unlike in Keras's and
    transformers' AdamW, which use the plain rate. A variable's update is one compiled loop.

    Attributes:
        gradient_factor: factor on the gradients.
    """

    def __init__(self, learning_rate: Schedule, beta_2: float, weight_decay_ratio: float, name: str) -> None:
        super().__init__(learning_rate, beta_1=0.9, beta_2=beta_2, epsilon=1e-6, jit_compile=False, name=name)
        self.weight_decay_ratio = weight_decay_ratio
        self.gradient_factor: tf.Tensor | float = 1.0
        self._rates: _Rates | None = None

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]], *args: Any, **kwargs: Any
    ) -> tf.Tensor | None:
        """Does one step, like Keras's own optimizers."""
        self._rates = None
        try:
            return super().apply_gradients(grads_and_vars, *args, **kwargs)
        finally:
            self._rates = None

    def _update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        if self._rates is None:  # equal for all variables, so they are computed once per step
            self._rates = self._rates_now()
        super()._update_step(gradient, variable)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates the moments, then the variable."""
        index = self._index_dict[self._var_key(variable)]
        state = variable, self._momentums[index], self._velocities[index]
        before = (tf.convert_to_tensor(part) for part in state)
        assert self._rates is not None
        rates = self._rates.shared(self.rate_share(variable))
        results = _adam(gradient, *before, rates, decays(variable), self.beta_1, self.beta_2, self.epsilon)
        for tensor, value in zip(state, results):
            tensor.assign(value, read_value=False)

    def _rates_now(self) -> "_Rates":
        time = tf.cast(self.iterations + 1, tf.float32)
        correction = tf.sqrt(1.0 - tf.pow(self.beta_2, time)) / (1.0 - tf.pow(self.beta_1, time))
        rate = tf.cast(self.learning_rate, tf.float32) * correction
        return _Rates(tf.convert_to_tensor(self.gradient_factor, tf.float32), rate, rate * self.weight_decay_ratio)


class _Rates(NamedTuple):
    """Factors on the gradient, the direction and the decayed variable, float32 []."""

    factor: tf.Tensor
    rate: tf.Tensor
    decay: tf.Tensor

    def shared(self, share: float) -> "_Rates":
        """Returns the factors for a variable with a share of the learning rate."""
        return self if share == 1.0 else self._replace(rate=share * self.rate, decay=share * self.decay)


@tf.function(jit_compile=True, autograph=False)
def _adam(
    gradient: tf.Tensor,
    value: tf.Tensor,
    m: tf.Tensor,
    v: tf.Tensor,
    rates: _Rates,
    decay: bool,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    gradient *= rates.factor
    m += (gradient - m) * (1.0 - beta_1)
    v += (tf.square(gradient) - v) * (1.0 - beta_2)
    change = rates.rate * m / (tf.sqrt(v) + epsilon)
    return value - change - rates.decay * value if decay else value - change, m, v


class Lamb(VariableRates, tf_keras.optimizers.Adam):
    """LAMB (You et al. 2020, algorithm 2): Adam's direction with decoupled decay, rescaled per variable.

    r = m_hat / (sqrt(v_hat) + eps) + wd * x; x -= lr * (|x| / |r|) * r, with a ratio of 1 if either norm is 0. LayerNorm and
    biases are neither decayed nor rescaled. EasyTransfer's own ``lamb`` fails on Python 3, so it has no results to
    reproduce.
    """

    def __init__(self, learning_rate: Schedule, weight_decay_ratio: float) -> None:
        super().__init__(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-6, jit_compile=False, name="Lamb")
        self.weight_decay_ratio = weight_decay_ratio

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates the moments, then the variable."""
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
        rate = tf.cast(self.learning_rate, tf.float32)
        share = self.rate_share(variable)
        variable.assign_sub((rate if share == 1.0 else share * rate) * ratio * update)


def make_optimizer(name: str, learning_rate: Schedule, weight_decay_ratio: float) -> tf_keras.optimizers.Optimizer:
    """Builds an optimizer like EasyTransfer's.

    Args:
        name: one of ``OPTIMIZERS``.
        learning_rate: a number or a schedule.
        weight_decay_ratio: above 0 it turns ``adam`` into EasyTransfer's AdamW; ``lamb`` uses it too, the others do not.

    Raises:
        UserError: the name is unknown.
    """
    if name == "adam":
        if weight_decay_ratio > 0:
            return Adam(learning_rate, 0.999, weight_decay_ratio, "AdamWeightDecay")
        return Adam(learning_rate, 0.98, 0.0, "Adam")
    if name == "lamb":
        return Lamb(learning_rate, weight_decay_ratio)
    if name == "adagrad":
        return Adagrad(learning_rate, initial_accumulator_value=0.1, epsilon=0.0, jit_compile=False)
    if name == "adadelta":
        return Adadelta(learning_rate, rho=0.95, epsilon=1e-8, jit_compile=False)
    raise UserError(f"optimizer {name!r} is unknown; allowed: {', '.join(OPTIMIZERS)}.")
