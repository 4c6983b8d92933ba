"""Head and generator found in files of every layout, taken over whole or not at all."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.pretraining.electra.stored_parts import stored_arrays, take_parts

HEAD = {
    "discriminator_predictions/dense/kernel": np.arange(16.0).reshape(4, 4),
    "discriminator_predictions/dense/bias": np.arange(4.0),
    "discriminator_predictions/dense_prediction/kernel": np.arange(4.0).reshape(4, 1),
    "discriminator_predictions/dense_prediction/bias": np.ones(1),
}
OTHERS = {
    "electra/encoder/layer_0/output/dense/kernel": np.ones((4, 4)),
    "discriminator_predictions/dense/kernel/adam_m": np.zeros((4, 4)),
    "electra.encoder.layer.0.output.dense.weight": np.ones((4, 4)),
}


def in_layout(layout: str) -> dict[str, np.ndarray]:
    stored = {}
    for name, array in HEAD.items():
        if layout == "torch":
            stored[name.replace("/kernel", "/weight").replace("/", ".")] = array.T
        elif layout == "google":
            stored[name.replace("dense_prediction", "dense_1")] = array
        else:
            stored[f"{name}:0"] = array
    return stored | OTHERS


def weight_file(arrays: dict[str, np.ndarray]) -> WeightFile:
    return WeightFile(Path("x"), "safetensors", arrays)


@pytest.mark.parametrize("layout", ["torch", "google", "tf"])
def test_the_head_is_found_in_every_layout(layout: str) -> None:
    found = stored_arrays(weight_file(in_layout(layout)))
    for name, array in HEAD.items():
        np.testing.assert_array_equal(found[name], array)


def variables() -> dict[str, tf.Variable]:
    return {f"{name}:0": tf.Variable(tf.fill(array.shape, -1.0)) for name, array in HEAD.items()}


def test_a_whole_one_is_taken_over() -> None:
    parts = variables()
    take_parts(parts, weight_file(in_layout("torch")), "Head")
    for name, array in HEAD.items():
        np.testing.assert_array_equal(parts[f"{name}:0"], array)


@pytest.mark.parametrize("change", ["none", "part", "other size"])
def test_another_leaves_the_start_as_it_is(change: str, caplog: pytest.LogCaptureFixture) -> None:
    stored = {} if change == "none" else dict(HEAD)
    if change == "part":
        del stored["discriminator_predictions/dense/bias"]
    elif change == "other size":
        stored["discriminator_predictions/dense/bias"] = np.ones(5)
    parts = variables()
    with caplog.at_level(logging.INFO):
        take_parts(parts, weight_file(stored), "Head")
    assert all((variable.numpy() == -1).all() for variable in parts.values())
    assert "Head: random start" in caplog.text and ("not whole" in caplog.text) == (change != "none")
