"""What a pre-training run remembers besides its model: the first and the last measurement."""

import tensorflow as tf

from easytransfer_mtl.pretraining.measuring import Measurement


class PretrainingProgress(tf.Module):
    """Measurements as variables, so that checkpoints hold them."""

    def __init__(self) -> None:
        super().__init__(name="pretraining_progress")
        self._before = tf.Variable([0.0, 0.0], dtype=tf.float64, trainable=False, name="before")
        self._after = tf.Variable([0.0, 0.0], dtype=tf.float64, trainable=False, name="after")

    @property
    def before(self) -> Measurement:
        """The measurement at the start."""
        return _measurement(self._before)

    @property
    def after(self) -> Measurement:
        """The last measurement."""
        return _measurement(self._after)

    def note(self, step: int, measured: Measurement) -> None:
        """Notes the measurement of a step."""
        values = [measured.loss, measured.accuracy]
        self._after.assign(values)
        if step == 0:
            self._before.assign(values)


def _measurement(variable: tf.Variable) -> Measurement:
    loss, accuracy = variable.numpy().tolist()
    return Measurement(loss, accuracy)
