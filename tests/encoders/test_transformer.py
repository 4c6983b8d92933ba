"""The encoder's own layers equal transformers' TFBertMainLayer over the same variables, dropout masks included."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from transformers import BertConfig

from easytransfer_mtl.encoders.assigning import assign_weights, random_weights
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock

IDS = tf.constant(np.random.default_rng(0).integers(5, 25, (3, 9)), tf.int32)
MASK = tf.constant([[1] * 9, [1] * 6 + [0] * 3, [1] + [0] * 8])
SEGMENTS = tf.constant([[0] * 5 + [1] * 4, [0] * 9, [0] * 9])
BATCH = (IDS, MASK, SEGMENTS)
Outputs = Callable[[], tuple[tf.Tensor, ...]]


@pytest.fixture
def make_encoder(tiny_encoder: Path) -> Callable[..., BertEncoder]:
    """Builds a random encoder with the tiny config, changed."""

    def build(**changes: object) -> BertEncoder:
        clock = DropoutClock(7)
        encoder = BertEncoder(BertConfig.from_pretrained(tiny_encoder, initializer_range=0.5, **changes), clock)
        assign_weights(encoder, random_weights(encoder, 1), (), "random")
        clock.time.assign(5)
        return encoder

    return build


def outputs_and_gradients(encoder: BertEncoder, run: Outputs) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    variables = {name: v for name, v in encoder.canonical_variables.items()}
    with tf.GradientTape() as tape:
        outputs = run()
        random = np.random.default_rng(2)
        loss = tf.add_n([tf.reduce_sum(x * random.normal(size=x.shape).astype(np.float32)) for x in outputs])
    gradients = tape.gradient(loss, list(variables.values()), unconnected_gradients="zero")
    return [x.numpy() for x in outputs], {name: tf.convert_to_tensor(g).numpy() for name, g in zip(variables, gradients)}


def assert_same(one: tuple, other: tuple) -> None:
    for found, expected in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name, gradient in one[1].items():
        np.testing.assert_allclose(gradient, other[1][name], rtol=1e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "relu"])
def test_equals_transformers(make_encoder: Callable[..., BertEncoder], hidden_act: str, training: bool) -> None:
    encoder = make_encoder(hidden_act=hidden_act)

    def reference() -> tuple[tf.Tensor, ...]:
        outputs = encoder(input_ids=IDS, attention_mask=MASK, token_type_ids=SEGMENTS, training=training)
        return outputs[0], outputs[1]

    found = outputs_and_gradients(encoder, lambda: encoder.encode(*BATCH, training=training))
    assert_same(found, outputs_and_gradients(encoder, reference))
    assert all(np.any(gradient) for name, gradient in found[1].items() if "key/bias" not in name)


def test_hidden_states_are_those_of_every_layer(make_encoder: Callable[..., BertEncoder]) -> None:
    encoder = make_encoder()

    def reference() -> tuple[tf.Tensor, ...]:
        return encoder(
            input_ids=IDS, attention_mask=MASK, token_type_ids=SEGMENTS, output_hidden_states=True, training=True
        )[2]

    found = outputs_and_gradients(encoder, lambda: tuple(encoder.hidden_states(*BATCH, training=True)))
    assert len(found[0]) == encoder.config.num_hidden_layers + 1
    assert_same(found, outputs_and_gradients(encoder, reference))
    np.testing.assert_array_equal(found[0][-1], encoder.encode(*BATCH, training=True)[0])


@pytest.mark.parametrize("layers", [1, 2])
def test_pooled_output_leaves_out_only_what_the_pooler_does_not_read(
    make_encoder: Callable[..., BertEncoder], layers: int
) -> None:
    encoder = make_encoder(num_hidden_layers=layers)
    found = outputs_and_gradients(encoder, lambda: (encoder.pooled_output(*BATCH),))
    assert_same(found, outputs_and_gradients(encoder, lambda: (encoder.encode(*BATCH)[1],)))


def test_pooled_output_has_dropout_in_the_last_layer_too(make_encoder: Callable[..., BertEncoder]) -> None:
    encoder = make_encoder(num_hidden_layers=1)
    encoder.embeddings.dropout.rate = 0.0
    one, other = encoder.pooled_output(*BATCH, training=True), encoder.pooled_output(*BATCH)
    encoder.clock.time.assign(6)
    later = encoder.pooled_output(*BATCH, training=True)
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - later).max() > 1e-3


def test_padding_changes_nothing(make_encoder: Callable[..., BertEncoder]) -> None:
    encoder = make_encoder()
    wide = [tf.pad(x, [[0, 0], [0, 4]], constant_values=value) for x, value in zip(BATCH, (9, 0, 1), strict=True)]
    np.testing.assert_allclose(encoder.pooled_output(*wide), encoder.pooled_output(*BATCH), atol=1e-6)
    np.testing.assert_allclose(encoder.encode(*wide)[0][:, :9], encoder.encode(*BATCH)[0], atol=3e-6)


def test_bfloat16_states_are_near_float32s_and_everything_outside_is_float32(
    make_encoder: Callable[..., BertEncoder],
) -> None:
    encoder = make_encoder()
    exact = outputs_and_gradients(encoder, lambda: encoder.encode(*BATCH, training=True))
    encoder.state_type = tf.bfloat16
    rounded = outputs_and_gradients(encoder, lambda: encoder.encode(*BATCH, training=True))
    assert all(x.dtype == np.float32 for x in [*rounded[0], *rounded[1].values()])
    for found, expected in zip(rounded[0], exact[0], strict=True):
        assert 0 < np.abs(found - expected).max() < 0.1
    one, other = (np.concatenate([g.ravel() for g in run[1].values()]) for run in (rounded, exact))
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.999
