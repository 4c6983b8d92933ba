"""BERT's layers over the variables of transformers' TFBertMainLayer, with the element-wise parts fused.

Tokens are flat, [B * S, H], wherever attention does not need separate rows. Query, key and value are one matrix product. A
layer is a function of tensors only, traced once for all layers, since tracing each layer takes longer than the first step.
For the same reason it is not inlined when the graph runs.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras
from transformers.activations_tf import get_tf_activation
from transformers.models.bert.modeling_tf_bert import TFBertLayer

from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.encoders.fused.attention import attention_probabilities
from easytransfer_mtl.encoders.fused.dense import dense
from easytransfer_mtl.encoders.fused.gelu import bias_gelu
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.encoders.fused.layer_norm import dropout_add_norm
from easytransfer_mtl.encoders.fused.rotary import position_table, rotate

GELUS = {"gelu": False, "gelu_new": True}
"""``hidden_act`` -> whether it is the tanh approximation."""
PADDING_SCORE = -10000.0
"""Added to the attention scores of padding, as in Google's BERT and EasyTransfer."""


class Layout(NamedTuple):
    """How flat tokens are arranged in rows.

    Attributes:
        rows: int32 [], B.
        length: int32 [], S.
        mask: float32 [B, 1, 1, S], 0 for tokens and ``PADDING_SCORE`` for padding.
    """

    rows: tf.Tensor
    length: tf.Tensor
    mask: tf.Tensor


class _Dense(NamedTuple):
    kernel: tf.Tensor
    bias: tf.Tensor


class _Output(NamedTuple):
    """Dense layer, dropout, residual connection and LayerNorm; ``keys`` is None without dropout."""

    dense: _Dense
    gamma: tf.Tensor
    beta: tf.Tensor
    keys: tf.Tensor | None


class _Layer(NamedTuple):
    query: _Dense
    key: _Dense
    value: _Dense
    attention_keys: tf.Tensor | None
    attention_output: _Output
    intermediate: _Dense
    output: _Output


class _Kind(NamedTuple):
    """The properties of layers that share a traced function; the widths are included so that shapes stay known."""

    width: int
    intermediate_width: int
    num_heads: int
    hidden_act: str
    epsilon: float
    attention_rate: float
    hidden_rate: float
    rotary_positions: int
    rotary_values: bool
    first_only: bool


def layout_of(input_mask: tf.Tensor) -> Layout:
    """Returns the layout of an int32 [B, S] mask."""
    shape = tf.shape(input_mask)
    mask = (1.0 - tf.cast(input_mask, tf.float32)) * PADDING_SCORE
    return Layout(shape[0], shape[1], mask[:, tf.newaxis, tf.newaxis, :])


def run_layer(layer: TFBertLayer, states: tf.Tensor, layout: Layout, training: bool, first_only: bool = False) -> tf.Tensor:
    """Runs one layer.

    Args:
        layer: holds the variables.
        states: [B * S, H], float32, bfloat16 or float16; matrix products and the result have the same type.
        layout: how tokens are arranged in rows.
        training: whether dropout is on.
        first_only: compute only the first token of each row, which is all that a pooler reads.

    Returns:
        [B * S, H], or [B, H] with ``first_only``.
    """
    attention, outputs = layer.attention.self_attention, (layer.attention.dense_output, layer.bert_output)
    kind = _Kind(
        width=attention.all_head_size,
        intermediate_width=layer.intermediate.dense.units,
        num_heads=attention.num_attention_heads,
        hidden_act=layer.intermediate.config.hidden_act,
        epsilon=outputs[1].LayerNorm.epsilon,
        attention_rate=attention.dropout.rate,
        hidden_rate=outputs[1].dropout.rate,
        rotary_positions=getattr(layer, "rotary_positions", 0),
        rotary_values=getattr(layer, "rotary_values", False),
        first_only=first_only,
    )
    tensors = _Layer(
        _dense_of(attention.query),
        _dense_of(attention.key),
        _dense_of(attention.value),
        _keys_of(attention.dropout, training),
        _output_of(outputs[0], training),
        _dense_of(layer.intermediate.dense),
        _output_of(outputs[1], training),
    )
    return _run(tensors, states, layout, kind)


def _dense_of(layer: tf_keras.layers.Dense) -> _Dense:
    return _Dense(tf.convert_to_tensor(layer.kernel), tf.convert_to_tensor(layer.bias))


def _output_of(layer: tf_keras.layers.Layer, training: bool) -> _Output:
    gamma, beta = (tf.convert_to_tensor(variable) for variable in (layer.LayerNorm.gamma, layer.LayerNorm.beta))
    return _Output(_dense_of(layer.dense), gamma, beta, _keys_of(layer.dropout, training))


def _keys_of(dropout: SeededDropout, training: bool) -> tf.Tensor | None:
    return dropout.mask_keys() if training and dropout.rate else None


@own_graph
def _run(layer: _Layer, states: tf.Tensor, layout: Layout, kind: _Kind) -> tf.Tensor:
    if kind.first_only:
        kept = tf.gather(states, tf.range(layout.rows) * layout.length)
        (query,) = _heads(kept, layout.rows, 1, [layer.query], kind.num_heads)
        key, value = _heads(states, layout.rows, layout.length, [layer.key, layer.value], kind.num_heads)
    else:
        kept, layers = states, [layer.query, layer.key, layer.value]
        query, key, value = _heads(states, layout.rows, layout.length, layers, kind.num_heads)
    if kind.rotary_positions:
        query, key, value = _rotated(query, key, value, layout, kind)
    scores, scale = tf.matmul(query, key, transpose_b=True), (kind.width // kind.num_heads) ** -0.5
    probabilities = attention_probabilities(scores, layout.mask, layer.attention_keys, kind.attention_rate, scale)
    context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])
    context = tf.reshape(context, [-1, kind.width])
    states = _output(layer.attention_output, context, kept, kind)
    return _output(layer.output, _intermediate(layer.intermediate, states, kind.hidden_act), states, kind)


def _heads(states: tf.Tensor, rows: tf.Tensor, length: tf.Tensor, layers: list[_Dense], num_heads: int) -> list[tf.Tensor]:
    """Returns each dense layer's output for [B * S, H] as [B, A, S, H / A]; all layers are computed in one product."""
    kernel = tf.concat([tf.cast(layer.kernel, states.dtype) for layer in layers], axis=1)
    bias = tf.concat([layer.bias for layer in layers], axis=0)
    shape = [rows, length, len(layers), num_heads, states.shape[-1] // num_heads]
    return tf.unstack(tf.transpose(tf.reshape(dense(states, kernel, bias), shape), [2, 0, 3, 1, 4]))


def _rotated(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, layout: Layout, kind: _Kind) -> tuple[tf.Tensor, ...]:
    """Rotates queries and keys, and values where the model does so, by their positions; the first position has angle 0."""
    table = tf.constant(position_table(kind.rotary_positions, kind.width // kind.num_heads))[: layout.length]
    query = query if kind.first_only else rotate(query, table)
    return query, rotate(key, table), rotate(value, table) if kind.rotary_values else value


def _intermediate(layer: _Dense, states: tf.Tensor, hidden_act: str) -> tf.Tensor:
    product = _product(states, layer.kernel)
    if hidden_act in GELUS:
        return bias_gelu(product, layer.bias, GELUS[hidden_act])
    return get_tf_activation(hidden_act)(tf.nn.bias_add(product, tf.cast(layer.bias, product.dtype)))


def _product(states: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.matmul(states, tf.cast(kernel, states.dtype))


def _output(layer: _Output, values: tf.Tensor, residual: tf.Tensor, kind: _Kind) -> tf.Tensor:
    product = _product(values, layer.dense.kernel)
    bias, gamma, beta, keys = layer.dense.bias, layer.gamma, layer.beta, layer.keys
    return dropout_add_norm(product, bias, residual, gamma, beta, keys, kind.hidden_rate, kind.epsilon)
