"""How the states of a row's tokens become one vector; padding has no part in it."""

from abc import abstractmethod

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features.masks import masked_mean


class Pooling(tf_keras.layers.Layer):
    """Makes a row's value of its tokens' states. [CLS] and [SEP] are real tokens as any other.

    Attributes:
        times: how often as wide as the states the value is.
    """

    times = 1

    @abstractmethod
    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the value [B, F].

        Args:
            states: [B, S, H].
            encoded: tells which tokens are real, and of which text.
        """


class First(Pooling):
    """The first token's state, that of [CLS], without the pooler's dense layer and tanh."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns it [B, H]."""
        return states[:, 0]


class Mean(Pooling):
    """The mean over real tokens (Reimers and Gurevych 2019)."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns it [B, H]."""
        return masked_mean(states, encoded.input_mask)


class Greatest(Pooling):
    """The greatest value of each dimension over real tokens."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns it [B, H]."""
        real = encoded.input_mask[:, :, tf.newaxis] > 0
        return tf.reduce_max(tf.where(real, states, float("-inf")), axis=1)


class Whole(Pooling):
    """No pooling: the states, for heads that read a sequence and mask it themselves."""

    def pool(self, states: tf.Tensor, encoded: Encoded) -> tf.Tensor:
        """Returns the states [B, S, H]."""
        return states
