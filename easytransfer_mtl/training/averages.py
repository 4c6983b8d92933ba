"""Exponential moving averages of a model's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from easytransfer_mtl.errors import UserError


class WeightAverages:
    """Exponential moving averages (EMA) of variables: after every step a <- a + (1 - d) (x - a).

    d = min(decay, (1 + t) / (10 + t)), t the number of steps before this one. The initial values therefore count little
    even in short runs, and the averages can be used as weights at any time without bias correction.

    Attributes:
        averages: one variable for each averaged variable, in the same order, initialized with its value.
    """

    def __init__(self, variables: list[tf.Variable], decay: float) -> None:
        """Takes the variables and the decay.

        Raises:
            UserError: the decay is not between 0 and 1, both excluded.
        """
        if not 0 < decay < 1:
            raise UserError(f"ema_decay is {decay}; it must be above 0 and below 1, or 0 for no averages.")
        self._decay, self._variables = decay, variables
        # Every replica updates its own copy; all copies have the same value, as the variables have.
        self.averages = [
            tf.Variable(
                variable,
                trainable=False,
                name=f"{variable.name.split(':')[0]}/ema",
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for variable in variables
        ]

    @tf.autograph.experimental.do_not_convert
    def update(self, step: tf.Tensor) -> None:
        """Updates the averages after an optimizer step; ``step`` is the number of steps before it."""
        time = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + time) / (10.0 + time))
        for average, variable in zip(self.averages, self._variables):
            average.assign(_moved(tf.convert_to_tensor(average), tf.convert_to_tensor(variable), share))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Assigns the averages to the variables inside the ``with`` block, and restores the variables after it."""
        own = [tf.identity(variable) for variable in self._variables]
        try:
            for variable, average in zip(self._variables, self.averages):
                variable.assign(average)
            yield
        finally:
            for variable, value in zip(self._variables, own):
                variable.assign(value)


@tf.function(jit_compile=True, autograph=False)
def _moved(average: tf.Tensor, value: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return average + share * (value - average)
