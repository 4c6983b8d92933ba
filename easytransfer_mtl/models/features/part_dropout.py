"""Part dropout: in training a row may lose whole parts of what its task reads."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock, uniform_at
from easytransfer_mtl.seeding import stream_seed


class PartDropout(tf_keras.layers.Layer):
    """Zeroes each part of a row's value with the same probability, each by itself; a row that would lose all keeps all.

    The modality dropout of Neverova et al., "ModDrop: Adaptive Multi-Modal Gesture Recognition", TPAMI 2016: a part that
    learns the training rows by heart (``ngrams``) leaves the others nothing to learn, unless they have to do without it.
    Nothing is scaled: a dense head adds up what its parts say, and each should say the same alone as beside the others.
    """

    def __init__(self, widths: list[int], rate: float, stream: str, clock: DropoutClock) -> None:
        """Takes the parts' widths, the rate (0 to below 1), a name that no other dropout has, and the model's clock."""
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
