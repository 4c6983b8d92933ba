"""BERT's layers over the variables of transformers' TFBertMainLayer, with the element-wise parts fused.

Tokens are flat, [B * S, H], wherever attention does not need rows apart. Query, key and value are one matrix product.
"""

from dataclasses import dataclass

import tensorflow as tf
import tf_keras
from transformers.models.bert.modeling_tf_bert import TFBertIntermediate, TFBertLayer

from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.encoders.fused.attention import attention_probabilities
from easytransfer_mtl.encoders.fused.dense import dense
from easytransfer_mtl.encoders.fused.gelu import bias_gelu
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm

GELUS = {"gelu": False, "gelu_new": True}
"""``hidden_act`` -> whether it is the tanh approximation."""
PADDING_SCORE = -10000.0
"""Added to the attention scores of padding, as in Google's BERT and EasyTransfer."""


@dataclass(frozen=True)
class Layout:
    """How flat tokens stand in rows.

    Attributes:
        rows: int32 [], B.
        length: int32 [], S.
        mask: float32 [B, 1, 1, S], 0 for tokens and ``PADDING_SCORE`` for padding.
    """

    rows: tf.Tensor
    length: tf.Tensor
    mask: tf.Tensor


def layout_of(input_mask: tf.Tensor) -> Layout:
    """Returns the layout of an int32 [B, S] mask."""
    shape = tf.shape(input_mask)
    mask = (1.0 - tf.cast(input_mask, tf.float32)) * PADDING_SCORE
    return Layout(shape[0], shape[1], mask[:, tf.newaxis, tf.newaxis, :])


def run_layer(layer: TFBertLayer, states: tf.Tensor, layout: Layout, training: bool, first_only: bool = False) -> tf.Tensor:
    """Runs one layer.

    Args:
        layer: holds the variables.
        states: [B * S, H], float32 or bfloat16: the type of the matrix products and of the result.
        layout: the rows.
        training: whether dropout is on.
        first_only: compute only the first token of each row, which is all that a pooler reads.

    Returns:
        [B * S, H], or [B, H] with ``first_only``.
    """
    attention = layer.attention.self_attention
    heads = attention.num_attention_heads
    if first_only:
        kept = _first_tokens(states, layout)
        (query,) = _heads(kept, layout.rows, 1, [attention.query], heads)
        key, value = _heads(states, layout.rows, layout.length, [attention.key, attention.value], heads)
    else:
        kept, layers = states, [attention.query, attention.key, attention.value]
        query, key, value = _heads(states, layout.rows, layout.length, layers, heads)
    scores = tf.matmul(query, key, transpose_b=True)
    scale = attention.attention_head_size**-0.5
    probabilities = attention_probabilities(scores, layout.mask, *_dropout(attention.dropout, training), scale)
    context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])
    context = tf.reshape(context, [-1, states.shape[-1]])
    states = _output(layer.attention.dense_output, context, kept, training)
    return _output(layer.bert_output, _intermediate(layer.intermediate, states), states, training)


def _intermediate(layer: TFBertIntermediate, states: tf.Tensor) -> tf.Tensor:
    kernel, bias = layer.dense.kernel, tf.convert_to_tensor(layer.dense.bias)
    product = _product(states, kernel)
    if layer.config.hidden_act in GELUS:
        return bias_gelu(product, bias, GELUS[layer.config.hidden_act])
    return layer.intermediate_act_fn(tf.nn.bias_add(product, tf.cast(bias, product.dtype)))


def _product(states: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.matmul(states, tf.cast(kernel, states.dtype))


def _first_tokens(states: tf.Tensor, layout: Layout) -> tf.Tensor:
    """Returns the first token of each row, [B, H]."""
    return tf.gather(states, tf.range(layout.rows) * layout.length)


def _heads(
    states: tf.Tensor, rows: tf.Tensor, length: tf.Tensor, layers: list[tf_keras.layers.Dense], num_heads: int
) -> list[tf.Tensor]:
    """Returns each dense layer's output for [B * S, H] as [B, A, S, H / A]; all layers are one product."""
    kernel = tf.concat([tf.cast(layer.kernel, states.dtype) for layer in layers], axis=1)
    bias = tf.concat([tf.convert_to_tensor(layer.bias) for layer in layers], axis=0)
    shape = [rows, length, len(layers), num_heads, states.shape[-1] // num_heads]
    return tf.unstack(tf.transpose(tf.reshape(dense(states, kernel, bias), shape), [2, 0, 3, 1, 4]))


def _output(layer: tf_keras.layers.Layer, values: tf.Tensor, residual: tf.Tensor, training: bool) -> tf.Tensor:
    """Runs the dense layer, dropout, residual connection and LayerNorm that end attention and feed-forward parts."""
    norm = layer.LayerNorm
    bias, gamma, beta = (tf.convert_to_tensor(variable) for variable in (layer.dense.bias, norm.gamma, norm.beta))
    product = _product(values, layer.dense.kernel)
    return dropout_add_norm(product, bias, residual, gamma, beta, *_dropout(layer.dropout, training), norm.epsilon)


def _dropout(dropout: SeededDropout, training: bool) -> tuple[tf.Tensor | None, float]:
    """Returns the keys of a layer's mask, None where there is no dropout, and its rate."""
    return (dropout.mask_keys(), dropout.rate) if training and dropout.rate else (None, 0.0)
