"""BERT's embedding layer over the variables of transformers' layer, LayerNorm and dropout included, and its variants.

Tables are read as tensors: TensorFlow copies a variable that rows are gathered from at its every other use, the optimizer's
included.
"""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.fused.dropout import dropout
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm


class ProjectedEmbeddings(tf_keras.layers.Layer):
    """The variables of embeddings of one width (``lookup``) and of a dense layer to another (``projection``)."""

    def __init__(self, lookup: tf_keras.layers.Layer, width: int, lookup_width: int) -> None:
        """Takes the embeddings and both widths."""
        super().__init__(name="embeddings")
        self.lookup, self.lookup_width = lookup, lookup_width
        self.projection = tf_keras.layers.Dense(width, name="projection")

    def build(self, input_shape: tf.TensorShape | None = None) -> None:
        """Makes the variables, under the names that the embeddings alone would have, and ``projection``."""
        self.lookup.build(None)
        with tf.name_scope(self.projection.name):
            self.projection.build((None, self.lookup_width))
        self.built = True


def embed(layer: tf_keras.layers.Layer, input_ids: tf.Tensor, segment_ids: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the embeddings of tokens, float32 [B * S, H].

    The gradient of the table of words is IndexedSlices, one for each token, that of the others dense: segments are looked up
    by a one-hot product and positions sliced, as in the original.

    Args:
        layer: holds the variables: transformers' TFBertEmbeddings, TFRoFormerEmbeddings, which has no positions, or
            ProjectedEmbeddings of one of them.
        input_ids: int32 [B, S].
        segment_ids: int32 [B, S].
        training: whether dropout is on.
    """
    if isinstance(layer, ProjectedEmbeddings):
        return layer.projection(embed(layer.lookup, input_ids, segment_ids, training))
    words, segments, gamma, beta = (
        tf.convert_to_tensor(variable)
        for variable in (layer.weight, layer.token_type_embeddings, layer.LayerNorm.gamma, layer.LayerNorm.beta)
    )
    rows, length, width = tf.shape(input_ids)[0], tf.shape(input_ids)[1], words.shape[1]
    segment = tf.matmul(tf.one_hot(tf.reshape(segment_ids, [-1]), segments.shape[0]), segments)
    places = tf.reshape(segment, [rows, length, width])
    if hasattr(layer, "position_embeddings"):
        places += tf.convert_to_tensor(layer.position_embeddings)[:length]
    keys = layer.dropout.mask_keys() if training and layer.dropout.rate else None
    tokens, places = tf.gather(words, tf.reshape(input_ids, [-1])), tf.reshape(places, [-1, width])
    return _normalized(tokens, places, gamma, beta, keys, layer.dropout.rate, layer.LayerNorm.epsilon)


@own_graph
def _normalized(
    tokens: tf.Tensor,
    places: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    keys: tf.Tensor | None,
    rate: float,
    epsilon: float,
) -> tf.Tensor:
    """Returns dropout(LayerNorm(tokens + places)).

    A function of its own, since a hand-written gradient does not find its forward pass's values in a branch of the graph.
    """
    states = dropout_add_norm(tokens, tf.zeros_like(gamma), places, gamma, beta, None, 0.0, epsilon)
    return states if keys is None else dropout(states, keys, rate)
