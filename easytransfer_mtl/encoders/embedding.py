"""BERT's embedding layer with LayerNorm and dropout, over the variables of transformers' layer, and its variants.

Tables are converted to tensors first: if rows are gathered from a variable, TensorFlow copies the variable at each of its
other uses, including the optimizer's.
"""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.fused.dropout import dropout
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm


class ProjectedEmbeddings(tf_keras.layers.Layer):
    """The variables of embeddings of one width (``lookup``) and of a dense layer to another width (``projection``)."""

    def __init__(self, lookup: tf_keras.layers.Layer, width: int, lookup_width: int) -> None:
        """Takes the embeddings, the output width and the embeddings' width."""
        super().__init__(name="embeddings")
        self.lookup, self.lookup_width = lookup, lookup_width
        self.projection = tf_keras.layers.Dense(width, name="projection")

    def build(self, input_shape: tf.TensorShape | None = None) -> None:
        """Creates the variables: the embeddings' under the same names as without a projection, and the projection's."""
        self.lookup.build(None)
        with tf.name_scope(self.projection.name):
            self.projection.build((None, self.lookup_width))
        self.built = True


def embed(
    layer: tf_keras.layers.Layer, input_ids: tf.Tensor, segment_ids: tf.Tensor, training: bool, first_position: int = 0
) -> tf.Tensor:
    """Returns the embeddings of tokens, float32 [B * S, H].

    The gradient of the word table is IndexedSlices, one slice per token; those of the other tables are dense: segments are
    looked up by a one-hot product and positions are sliced, as in EasyTransfer.

    Args:
        layer: holds the variables: transformers' TFBertEmbeddings, TFRoFormerEmbeddings (which has no positions), or
            ProjectedEmbeddings of one of them.
        input_ids: int32 [B, S].
        segment_ids: int32 [B, S].
        training: whether dropout is on.
        first_position: row of the position table that each row's first token gets.
    """
    if isinstance(layer, ProjectedEmbeddings):
        return layer.projection(embed(layer.lookup, input_ids, segment_ids, training, first_position))
    words, segments, gamma, beta = (
        tf.convert_to_tensor(variable)
        for variable in (layer.weight, layer.token_type_embeddings, layer.LayerNorm.gamma, layer.LayerNorm.beta)
    )
    rows, length, width = tf.shape(input_ids)[0], tf.shape(input_ids)[1], words.shape[1]
    segment = tf.matmul(tf.one_hot(tf.reshape(segment_ids, [-1]), segments.shape[0]), segments)
    places = tf.reshape(segment, [rows, length, width])
    if hasattr(layer, "position_embeddings"):
        places += tf.convert_to_tensor(layer.position_embeddings)[first_position : first_position + length]
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

    This is a separate TensorFlow function, since a hand-written gradient does not find the values of its forward pass in a
    branch of the graph.
    """
    states = dropout_add_norm(tokens, tf.zeros_like(gamma), places, gamma, beta, None, 0.0, epsilon)
    return states if keys is None else dropout(states, keys, rate)
