"""What every sharing structure tells and does."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.encoded import LAYERS, SEQUENCE, Encoded, Reads


class Sharing(tf_keras.layers.Layer):
    """Encodes a batch for a task.

    Attributes:
        encoder: the encoder that all tasks share; the model's, which owns its variables.
        width: of the states that tasks read.
        encodes_apart: whether tasks read different states of one batch, so that a step encodes for its task alone.
    """

    encodes_apart = False

    def __init__(self, encoder: Encoder) -> None:
        """Takes the shared encoder."""
        super().__init__(name="sharing")
        self.__dict__["encoder"] = encoder  # past Keras's tracking: its variables are the model's
        self.width: int = encoder.config.hidden_size

    @abstractmethod
    def encode(self, features: dict[str, tf.Tensor], task: int, reads: Reads, training: bool) -> Encoded:
        """Returns what the task reads of a batch.

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            task: its place among the model's tasks.
            reads: what is wanted.
            training: whether dropout is on.
        """

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables that this task alone moves, its features and head apart."""
        return []


def encoded_by(encoder: Encoder, features: dict[str, tf.Tensor], reads: Reads, training: bool) -> Encoded:
    """Returns what is wanted of one encoder, computing no more than that needs."""
    inputs = (features["input_ids"], features["input_mask"], features["segment_ids"])
    pooled, sequence, layers = None, None, ()
    if LAYERS in reads:
        layers = tuple(encoder.hidden_states(*inputs, training=training))
        sequence = layers[-1]
        pooled = encoder.pooler(sequence)
    elif SEQUENCE in reads:
        sequence, pooled = encoder.encode(*inputs, training=training)
    else:
        pooled = encoder.pooled_output(*inputs, training=training)
    return Encoded(inputs[1], inputs[2], pooled, sequence, layers, tf.constant(0.0))
