"""What a pre-training run remembers besides its model: the first and the last measurement."""

from dataclasses import fields

import tensorflow as tf

from easytransfer_mtl.pretraining.measurement import Measurement


class PretrainingProgress(tf.Module):
    """Measurements as variables, so that checkpoints hold them."""

    def __init__(self, measured: type[Measurement]) -> None:
        """Takes the class of the measurements."""
        super().__init__(name="pretraining_progress")
        self.measured = measured
        nothing = [0.0] * len(fields(measured))
        self._before = tf.Variable(nothing, dtype=tf.float64, trainable=False, name="before")
        self._after = tf.Variable(nothing, dtype=tf.float64, trainable=False, name="after")

    @property
    def before(self) -> Measurement:
        """The measurement at the start."""
        return self.measured(*self._before.numpy().tolist())

    @property
    def after(self) -> Measurement:
        """The last measurement."""
        return self.measured(*self._after.numpy().tolist())

    def note(self, step: int, measured: Measurement) -> None:
        """Notes the measurement of a step."""
        self._after.assign(measured.values)
        if step == 0:
            self._before.assign(measured.values)
