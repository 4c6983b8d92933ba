"""Training of every type of encoder: gradients, dropout, bfloat16, and graphs of any length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.loading import load_encoder

ROW = tf.TensorSpec([None, None], tf.int32)


def load(folder: Path) -> Encoder:
    return load_encoder(find_encoder(str(folder)), DropoutClock(4)).encoder


def loss_of(outputs: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """A sum that weighs every value otherwise."""
    random = np.random.default_rng(1)
    return tf.add_n([tf.reduce_sum(x * random.normal(size=x.shape).astype(np.float32)) for x in outputs])


def in_graph(function: Any) -> Any:
    """Runs a function as training does: in a graph, without AutoGraph, for rows of any length."""
    return tf.function(tf.autograph.experimental.do_not_convert(function), input_signature=[ROW] * 3, autograph=False)


def test_gradients_equal_transformers(trained_type: Any, rows: Any) -> None:
    encoder, model = load(trained_type.folder / "safetensors"), trained_type.model
    tokens = rows.input_mask.numpy() == 1
    with tf.GradientTape() as tape:
        loss = loss_of((encoder.encode(*rows)[0][tokens],))
    found = tape.gradient(loss, encoder.canonical_variables, unconnected_gradients="zero")
    with tf.GradientTape() as tape:
        loss = loss_of((rows.outputs(model).last_hidden_state[tokens],))
    expected = {str(canonical_name(v.name)): g for v, g in zip(model.weights, tape.gradient(loss, model.weights))}
    for name, gradient in found.items():
        reference = expected.get(name)
        reference = tf.zeros_like(gradient) if reference is None else tf.convert_to_tensor(reference)
        scale = 1.0 + float(tf.reduce_max(tf.abs(reference)))
        np.testing.assert_allclose(tf.convert_to_tensor(gradient) / scale, reference / scale, atol=2e-5, err_msg=name)


def test_graphs_of_any_length_train_every_variable_and_repeat_bit_for_bit(trained_type: Any, rows: Any) -> None:
    tf.config.experimental.enable_op_determinism()
    encoder = load(trained_type.folder / "safetensors")
    variables = encoder.trainable_variables

    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(encoder.encode(*inputs, training=True)[1]))
        return [loss, *(tf.convert_to_tensor(g) for g in tape.gradient(loss, variables))]

    graph = in_graph(step)
    first = [value.numpy() for value in graph(*rows)]
    assert all(np.isfinite(value).all() for value in first)
    for variable, gradient in zip(variables, first[1:], strict=True):
        # Keys' biases move all scores of a query alike, which the softmax takes out.
        assert np.abs(gradient).max() > 0 or "/key/bias" in variable.name, variable.name
    shorter = graph(*(value[:1, :5] for value in rows))
    assert np.isfinite(shorter[0])
    for value, again in zip(first, graph(*rows), strict=True):
        np.testing.assert_array_equal(value, again)
    encoder.clock.time.assign(1)
    assert float(graph(*rows)[0]) != float(first[0]) or encoder.config.hidden_dropout_prob == 0


def dropouts(layer: Any) -> list[SeededDropout]:
    return [part for part in layer.submodules if isinstance(part, SeededDropout)]


def test_no_two_dropouts_share_their_masks_even_in_a_shared_layer(trained_type: Any) -> None:
    encoder = load(trained_type.folder / "safetensors")
    found = dropouts(encoder)
    keys = {part._key for part in found}
    # Embeddings have one; a layer has one in its attention and two after its dense parts, DeBERTa's more.
    assert len(keys) == len(found) >= 1 + 3 * encoder.config.num_hidden_layers
    others = {type(part).__name__ for part in encoder.submodules if "Dropout" in type(part).__name__}
    assert others == {"SeededDropout", "DropoutClock"}


def test_bfloat16_is_close_to_float32(trained_type: Any, rows: Any) -> None:
    encoder = load(trained_type.folder / "safetensors")
    if "bfloat16" not in kind_of(encoder.config).precisions:
        pytest.skip("refused")
    assert isinstance(encoder, BertEncoder)
    exact = encoder.encode(*rows)
    with encoder.computing_in("bfloat16"):
        rough = in_graph(lambda *inputs: encoder.encode(*inputs))(*rows)
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype == tf.float32
        assert 0 < np.abs(one - other).max() < 0.3 and np.abs(one - other).mean() < 0.03


def test_alberts_layers_are_one_and_training_moves_them_all(trained_type: Any, rows: Any) -> None:
    if trained_type.model_type != "albert":
        pytest.skip("has layers of its own")
    encoder = load(trained_type.folder / "safetensors")
    assert len(encoder.encoder.layer) == encoder.config.num_hidden_layers > 1
    assert len([name for name in encoder.canonical_variables if name.startswith("encoder/")]) == 16
    before = encoder.encode(*rows)[0]
    encoder.canonical_variables["encoder/layer_0/output/dense/kernel"].assign_add(tf.eye(16, 8))
    kernels = {id(layer.intermediate.dense.kernel) for layer in encoder.encoder.layer}
    assert len(kernels) == 1 and not np.allclose(encoder.encode(*rows)[0], before)
