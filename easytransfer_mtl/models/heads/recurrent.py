"""Heads with a recurrent network over the tokens."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.models.heads.base import Head, HeadFacts
from easytransfer_mtl.models.own_layers import dense_layer
from easytransfer_mtl.seeding import stream_seed

FORWARD, BACKWARD = "forward", "backward"


class RecurrentHead(Head, tf_keras.layers.Layer):
    """Logits from the network's state after the last real token; padding does not change the state.

    Weights start as in Keras (kernels Glorot uniform, recurrent kernels orthogonal, forget bias 1), drawn from the head's
    own random streams: with truncated normal 0.02 a state would vanish within a few tokens.
    """

    reads_sequence = True
    size_of = "units of a direction"
    default_size = 128
    cell: type[tf_keras.layers.Layer]
    directions: tuple[str, ...] = (FORWARD,)

    def __init__(self, facts: HeadFacts) -> None:
        """Builds the layers."""
        super().__init__(name=facts.name)
        self.networks = [self._network(facts, direction) for direction in self.directions]
        self.dropout = facts.dropout("states")
        width = facts.size * len(self.directions)
        self.logits = dense_layer(facts.name, "logits", width, facts.num_labels, facts.clock.seed)

    def _network(self, facts: HeadFacts, direction: str) -> tf_keras.layers.RNN:
        seeds = [stream_seed(facts.clock.seed, "own", facts.name, direction, part) % 2**31 for part in ("in", "recurrent")]
        cell = self.cell(
            facts.size,
            kernel_initializer=tf_keras.initializers.GlorotUniform(seeds[0]),
            recurrent_initializer=tf_keras.initializers.Orthogonal(seed=seeds[1]),
            name="cell",
        )
        network = tf_keras.layers.RNN(cell, go_backwards=direction == BACKWARD, name=direction)
        with tf.name_scope(f"{facts.name}/{direction}"):
            network.build((None, None, facts.width))
        return network

    def call(self, inputs: tf.Tensor, input_mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits [B, C] for ``inputs`` [B, S, F]."""
        real = tf.cast(input_mask, tf.bool)
        states = [network(inputs, mask=real, training=training) for network in self.networks]
        return self.logits(self.dropout(tf.concat(states, axis=-1), training=training))


class LstmHead(RecurrentHead):
    """An LSTM (Hochreiter and Schmidhuber 1997) from the first token to the last."""

    cell = tf_keras.layers.LSTMCell


class BiLstmHead(LstmHead):
    """Two LSTMs (Graves and Schmidhuber 2005), one for each direction; their last states are concatenated."""

    directions = (FORWARD, BACKWARD)


class GruHead(RecurrentHead):
    """A GRU (Cho et al. 2014; reset gate after the matrix product, as in Keras) from the first token to the last."""

    cell = tf_keras.layers.GRUCell
