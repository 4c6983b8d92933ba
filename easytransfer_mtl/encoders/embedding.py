"""BERT's embedding layer over the variables of transformers' TFBertEmbeddings, LayerNorm and dropout included.

Tables are read as tensors: TensorFlow copies a variable that rows are gathered from at its every other use, the optimizer's
included, which for a table of words is 2 % of a train step.
"""

import tensorflow as tf
from transformers.models.bert.modeling_tf_bert import TFBertEmbeddings

from easytransfer_mtl.encoders.fused.dropout import dropout
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm


def embed(layer: TFBertEmbeddings, input_ids: tf.Tensor, segment_ids: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the embeddings of tokens, float32 [B * S, H].

    The gradient of the table of words is IndexedSlices, one for each token, that of the others dense: segments are looked up
    by a one-hot product and positions sliced, as in the original.

    Args:
        layer: holds the variables.
        input_ids: int32 [B, S].
        segment_ids: int32 [B, S].
        training: whether dropout is on.
    """
    words, positions, segments, gamma, beta = (
        tf.convert_to_tensor(variable)
        for variable in (
            layer.weight,
            layer.position_embeddings,
            layer.token_type_embeddings,
            layer.LayerNorm.gamma,
            layer.LayerNorm.beta,
        )
    )
    rows, length, width = tf.shape(input_ids)[0], tf.shape(input_ids)[1], words.shape[1]
    segment = tf.matmul(tf.one_hot(tf.reshape(segment_ids, [-1]), segments.shape[0]), segments)
    places = tf.reshape(segment, [rows, length, width]) + positions[:length]
    states = dropout_add_norm(
        tf.gather(words, tf.reshape(input_ids, [-1])),
        tf.zeros(width),
        tf.reshape(places, [-1, width]),
        gamma,
        beta,
        None,
        0.0,
        layer.LayerNorm.epsilon,
    )
    if not (training and layer.dropout.rate):
        return states
    return dropout(states, layer.dropout.mask_keys(), layer.dropout.rate)
