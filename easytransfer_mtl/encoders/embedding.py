"""BERT's embedding layer over the variables of transformers' TFBertEmbeddings, LayerNorm and dropout included.

Tables are read as tensors: TensorFlow copies a variable that rows are gathered from at its every other use, the optimizer's
included, which for a table of words is 2 % of a train step.
"""

import tensorflow as tf
from transformers.models.bert.modeling_tf_bert import TFBertEmbeddings

from easytransfer_mtl.encoders.fused.dropout import dropout
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm


def embed(layer: TFBertEmbeddings, input_ids: tf.Tensor, segment_ids: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the embeddings of tokens, float32 [B * S, E].

    The gradient of the table of words is IndexedSlices, one for each token, that of the others dense: segments are looked up
    by a one-hot product and positions sliced, as in the original.

    Args:
        layer: holds the variables; TFRoFormerEmbeddings will do, which has no positions.
        input_ids: int32 [B, S].
        segment_ids: int32 [B, S].
        training: whether dropout is on.
    """
    norm = layer.LayerNorm
    words, segments, gamma, beta = (
        tf.convert_to_tensor(variable) for variable in (layer.weight, layer.token_type_embeddings, norm.gamma, norm.beta)
    )
    rows, length, width = tf.shape(input_ids)[0], tf.shape(input_ids)[1], words.shape[1]
    places = tf.matmul(tf.one_hot(tf.reshape(segment_ids, [-1]), segments.shape[0]), segments)
    if hasattr(layer, "position_embeddings"):
        places = tf.reshape(places, [rows, length, width]) + tf.convert_to_tensor(layer.position_embeddings)[:length]
        places = tf.reshape(places, [-1, width])
    tokens = tf.gather(words, tf.reshape(input_ids, [-1]))
    states = dropout_add_norm(tokens, tf.zeros(width), places, gamma, beta, None, 0.0, norm.epsilon)
    if not (training and layer.dropout.rate):
        return states
    return dropout(states, layer.dropout.mask_keys(), layer.dropout.rate)
