"""Part dropout: zeroes whole parts of a row's feature in training."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock, uniform_at
from easytransfer_mtl.seeding import stream_seed


class PartDropout(tf_keras.layers.Layer):
    """Zeroes each part of a row's feature independently with the same probability; a row that would lose all keeps all.

    The modality dropout of Neverova et al., "ModDrop: Adaptive Multi-Modal Gesture Recognition", TPAMI 2016: if a part
    memorizes the training rows (``ngrams``), the other parts learn nothing unless that part is sometimes missing. The
    remaining parts are not rescaled: a dense head sums the contributions of its parts, and each contribution should be the
    same with and without the others.
    """

    def __init__(self, widths: list[int], rate: float, stream: str, clock: DropoutClock) -> None:
        """Takes the parts' widths, the rate (0 to below 1), a unique name of the random stream, and the model's clock."""
        super().__init__(name=f"part_dropout_{stream}")
        self.widths, self.rate = widths, rate
        self._key = stream_seed(clock.seed, "part dropout", stream)
        self._time = clock.time

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns ``inputs`` [B, F] or [B, S, F] with dropout in training, unchanged otherwise."""
        if not training or self.rate == 0.0:
            return inputs
        kept = uniform_at(self._time, self._key, [tf.shape(inputs)[0], len(self.widths)]) >= self.rate
        kept |= ~tf.reduce_any(kept, axis=1, keepdims=True)
        mask = tf.repeat(tf.cast(kept, inputs.dtype), self.widths, axis=1)
        return inputs * (mask[:, tf.newaxis] if inputs.shape.rank == 3 else mask)
