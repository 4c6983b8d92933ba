"""Seeded dropout: a mask is a function of seed, layer and time, and every dropout of the encoder is a seeded one."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout, use_seeded_dropout
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError

ONES = tf.ones((200, 100))


def dropped(rate: float = 0.1, stream: str = "layer", seed: int = 0, time: int = 0) -> np.ndarray:
    clock = DropoutClock(seed)
    clock.time.assign(time)
    return SeededDropout(rate, stream, clock)(ONES, training=True).numpy()


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> BertEncoder:
    return load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(0), random_init=True).encoder


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    values = dropped(rate)
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / (1 - rate))}
    # Five standard deviations of the share of zeros among 20000 independent values.
    assert abs((values == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / values.size)


def test_off_outside_training_and_at_rate_zero() -> None:
    layer = SeededDropout(0.5, "layer", DropoutClock(0))
    np.testing.assert_array_equal(layer(ONES), ONES)
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)
    np.testing.assert_array_equal(dropped(0.0), ONES)


def test_same_seed_layer_and_time_give_the_same_mask() -> None:
    np.testing.assert_array_equal(dropped(time=7), dropped(time=7))


@pytest.mark.parametrize("change", [{"time": 8}, {"stream": "other"}, {"seed": 1}])
def test_another_time_layer_or_seed_gives_an_independent_mask(change: dict) -> None:
    one, other = dropped(0.5, time=7) == 0, dropped(0.5, **{"time": 7, **change}) == 0
    assert abs((one == other).mean() - 0.5) < 5 * np.sqrt(0.25 / one.size)


def test_mask_follows_the_clock_inside_a_traced_function() -> None:
    clock = DropoutClock(3)
    layer = SeededDropout(0.5, "layer", clock)
    traced = tf.function(lambda: layer(ONES, training=True))
    first = traced().numpy()
    clock.time.assign(1)
    assert not np.array_equal(traced().numpy(), first)
    clock.time.assign(0)
    np.testing.assert_array_equal(traced().numpy(), first)


def test_gradient_is_the_mask() -> None:
    layer = SeededDropout(0.3, "layer", DropoutClock(0))
    with tf.GradientTape() as tape:
        tape.watch(ONES)
        result = layer(ONES, training=True)
    np.testing.assert_array_equal(tape.gradient(result, ONES), result)


@pytest.mark.parametrize("rate", [1.0, 1.5, -0.1, float("nan")])
def test_a_rate_that_is_none_is_an_error(rate: float) -> None:
    with pytest.raises(UserError, match="dropout"):
        SeededDropout(rate, "layer", DropoutClock(0))


def test_every_dropout_below_a_layer_is_replaced() -> None:
    from transformers import BertConfig
    from transformers.models.bert.modeling_tf_bert import TFBertMainLayer

    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8, hidden_dropout_prob=0.2
    )
    layer = TFBertMainLayer(config, name="bert")
    layer(input_ids=tf.zeros((1, 2), tf.int32))
    before = [module for module in layer.submodules if isinstance(module, tf_keras.layers.Dropout)]
    # The embeddings' one, and in each layer one on attention weights and one before each of the two LayerNorms.
    assert use_seeded_dropout(layer, DropoutClock(0)) == len(before) == 1 + 3 * 3
    assert not [module for module in layer.submodules if isinstance(module, tf_keras.layers.Dropout)]
    rates = sorted(module.rate for module in layer.submodules if isinstance(module, SeededDropout))
    assert rates == [0.1] * 3 + [0.2] * 7


def test_dropouts_of_the_encoder_have_different_streams(encoder: BertEncoder) -> None:
    layers = [module for module in encoder.submodules if isinstance(module, SeededDropout)]
    assert len(layers) == 1 + 3 * 2 and not [m for m in encoder.submodules if isinstance(m, tf_keras.layers.Dropout)]
    assert len({layer._key for layer in layers}) == len(layers)


def test_encoder_drops_in_training_only_and_as_the_clock_says(encoder: BertEncoder) -> None:
    ids = tf.constant([[2, 7, 8, 9, 3]])
    inputs = (ids, tf.ones_like(ids), tf.zeros_like(ids))

    def pooled(time: int, training: bool) -> np.ndarray:
        encoder.clock.time.assign(time)
        return encoder.encode(*inputs, training=training)[1].numpy()

    still = pooled(0, False)
    np.testing.assert_array_equal(pooled(1, False), still)
    np.testing.assert_array_equal(pooled(1, True), pooled(1, True))
    assert not np.array_equal(pooled(1, True), still)
    assert not np.array_equal(pooled(1, True), pooled(2, True))
