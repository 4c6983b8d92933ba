"""Poolings: turn the states of a row's tokens into one vector; padding is ignored."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.masked import masked_mean


class Pooling(tf_keras.layers.Layer):
    """Pools the states of a row's tokens. [CLS] and [SEP] count as real tokens.

    Attributes:
        times: width of the value divided by the width of the states.
    """

    times = 1

    @abstractmethod
    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the value [B, F].

        Args:
            states: [B, S, H].
            encoded: the batch, with its input mask and segment ids.
        """


class First(Pooling):
    """The state of the first token, [CLS], without the pooler's dense layer and tanh."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the first token's state [B, H]."""
        return states[:, 0]


class Mean(Pooling):
    """The mean over real tokens (Reimers and Gurevych 2019)."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the mean [B, H]."""
        return masked_mean(states, encoded.input_mask)


class Greatest(Pooling):
    """The maximum of each dimension over real tokens."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the maxima [B, H]."""
        real = encoded.input_mask[:, :, tf.newaxis] > 0
        return tf.reduce_max(tf.where(real, states, float("-inf")), axis=1)


class Whole(Pooling):
    """No pooling: the states, for heads that read a sequence and mask it themselves."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the states [B, S, H]."""
        return states
