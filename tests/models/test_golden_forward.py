"""The forward pass gives the original's numbers: embeddings, layers, pooled output, logits; padded or trimmed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.multitask_model import MultiTaskModel

TOLERANCE = 1e-5
FEATURES = ("input_ids", "input_mask", "segment_ids")
TASKS = ("TNEWS", "OCEMOTION", "OCNLI")


@pytest.fixture(scope="module")
def model(golden_model: Callable[..., MultiTaskModel]) -> MultiTaskModel:
    return golden_model()


def read(golden: Path, task: str) -> dict[str, np.ndarray]:
    with np.load(golden / "forward" / f"{task}_dev.npz") as values:
        return {name: values[name] for name in values.files}


def features_of(values: dict[str, np.ndarray], rows: slice = slice(None), length: int | None = None) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values[name][rows, :length]) for name in FEATURES}


def assert_near(found: tf.Tensor, expected: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_the_originals(task: str, model: MultiTaskModel, golden: Path) -> None:
    values = read(golden, task)
    features = features_of(values)
    states, pooled = model.encoder.encode(*(features[name] for name in FEATURES))
    assert_near(pooled, values["pooled_output"], "pooled output")
    first = values["sequence_output_first"]
    assert_near(states[: len(first)], first, "last layer")
    logits = model(features)
    assert sorted(logits) == ["ocemotion_logits", "ocnli_logits", "tnews_logits"]
    for name, value in logits.items():
        assert_near(value, values[name], name)


@pytest.mark.parametrize("task", TASKS)
def test_trimming_the_padding_changes_nothing(task: str, model: MultiTaskModel, golden: Path) -> None:
    values = read(golden, task)
    lengths = values["input_mask"].sum(axis=1)
    short = np.flatnonzero(lengths <= 50)
    assert len(short) >= 18
    features = features_of(values, short, int(lengths[short].max()))
    _, pooled = model.encoder.encode(*(features[name] for name in FEATURES))
    assert_near(pooled, values["pooled_output"][short], "pooled output")
    for name, value in model(features).items():
        assert_near(value, values[name][short], name)


@pytest.mark.parametrize("task", TASKS)
def test_predictions_are_the_originals(task: str, model: MultiTaskModel, golden: Path) -> None:
    values = read(golden, task)
    predictions = model.predict_step(features_of(values))
    for name in ("tnews", "ocemotion", "ocnli"):
        np.testing.assert_array_equal(predictions[f"{name}_predictions"], values[f"{name}_predictions"])
        assert predictions[f"{name}_predictions"].dtype == tf.int32
        logits = values[f"{name}_logits"].astype(np.float64)
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert_near(predictions[f"{name}_probabilities"], expected, name)


def test_embeddings_and_each_block_are_the_originals(model: MultiTaskModel, golden: Path) -> None:
    values = read(golden, "OCNLI")
    encoder = model.encoder
    ids, mask, segments = (tf.constant(values[name][:2]) for name in FEATURES)
    hidden = encoder.embeddings(input_ids=ids, token_type_ids=segments)
    assert_near(hidden, values["embedding_output_first2"], "embeddings")
    additive = (1.0 - tf.cast(mask, tf.float32))[:, tf.newaxis, tf.newaxis, :] * -10000.0
    for number, layer in enumerate(encoder.encoder.layer):
        nothing = dict.fromkeys(("head_mask", "encoder_hidden_states", "encoder_attention_mask", "past_key_value"))
        attention = layer.attention(input_tensor=hidden, attention_mask=additive, output_attentions=False, **nothing)[0]
        assert_near(attention, values[f"attention_block_output_{number}_first2"], f"attention {number}")
        hidden = layer(hidden, additive, output_attentions=False, **nothing)[0]
        if number == 0:
            assert_near(hidden, values["hidden_0_first2"], "layer 0")


def test_exact_gelu_would_be_noticed(golden_files: EncoderFiles, golden: Path) -> None:
    values = read(golden, "OCNLI")
    encoder = load_encoder(golden_files, DropoutClock(0), gelu="exact").encoder
    _, pooled = encoder.encode(*features_of(values).values())
    assert np.abs(pooled - values["pooled_output"]).max() > 10 * TOLERANCE
