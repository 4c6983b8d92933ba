"""The masked-word head: found in files of every layout, taken over whole or not at all."""

import logging
from pathlib import Path

import numpy as np
import pytest
from transformers import BertConfig

from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.head import MaskedWordHead, stored_head
from easytransfer_mtl.runs.optimizers import decays

CONFIG = BertConfig(vocab_size=9, hidden_size=4, num_attention_heads=2, intermediate_size=6)
NAMES = {
    "transform/dense/kernel": (4, 4),
    "transform/dense/bias": (4,),
    "transform/LayerNorm/gamma": (4,),
    "transform/LayerNorm/beta": (4,),
    "bias": (9,),
}
LAYOUTS = {
    "torch": ("dense.weight", "dense.bias", "LayerNorm.weight", "LayerNorm.bias", "cls.predictions.bias"),
    "old torch": ("dense.weight", "dense.bias", "LayerNorm.gamma", "LayerNorm.beta", "cls.predictions.bias"),
    "tf1": ("dense/kernel", "dense/bias", "LayerNorm/gamma", "LayerNorm/beta", "cls/predictions/output_bias"),
    "tf2": ("dense/kernel:0", "dense/bias:0", "LayerNorm/gamma:0", "LayerNorm/beta:0", "mlm___cls/predictions/bias:0"),
    "scoped": ("dense/kernel", "dense/bias", "LayerNorm/gamma", "LayerNorm/beta", "app/bert/cls/predictions/output_bias"),
}


def arrays(seed: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in NAMES.items()}


def in_layout(layout: str, values: dict[str, np.ndarray]) -> WeightFile:
    *transform, last = LAYOUTS[layout]
    dot = "." if "torch" in layout else "/"
    scope = last.split(dot + ("output_bias" if "output_bias" in last else "bias"))[0]
    stored = [f"{scope}{dot}transform{dot}{name}" for name in transform] + [last]
    named = dict(zip(stored, values.values(), strict=True))
    if dot == ".":
        named[stored[0]] = named[stored[0]].T
    others = {
        "cls.predictions.decoder.weight": np.ones((9, 4)),
        "bert.pooler.dense.bias": np.ones(4),
        "cls/seq_relationship/output_bias": np.ones(2),
        f"{stored[0]}/adam_m": np.ones(1),
    }
    return WeightFile(Path("x"), "safetensors", named | others)


ROBERTA = {
    "torch": ("dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "bias"),
    "tf2": ("dense/kernel:0", "dense/bias:0", "layer_norm/gamma:0", "layer_norm/beta:0", "bias:0"),
}


@pytest.mark.parametrize("layout", ROBERTA)
def test_robertas_head_is_found(layout: str) -> None:
    values = arrays()
    scope = "lm_head." if layout == "torch" else "tfx_roberta_for_masked_lm/lm_head/"
    named = {scope + name: value for name, value in zip(ROBERTA[layout], values.values(), strict=True)}
    if layout == "torch":
        named["lm_head.dense.weight"] = named["lm_head.dense.weight"].T
        named |= {"lm_head.decoder.weight": np.ones((9, 4)), "lm_head.decoder.bias": np.ones(9)}
    found = stored_head(WeightFile(Path("x"), "safetensors", named))
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)


def head(seed: int = 1) -> MaskedWordHead:
    return MaskedWordHead(CONFIG, 4, seed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_head_is_found_in_every_layout(layout: str) -> None:
    values = arrays()
    found = stored_head(in_layout(layout, values))
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_whole_head_is_taken_over() -> None:
    one = head()
    one.take(in_layout("torch", arrays()))
    for name, value in arrays().items():
        np.testing.assert_array_equal(one.by_name[name].numpy(), value)


@pytest.mark.parametrize("kept", [[], ["bias"]])
def test_a_missing_or_partial_head_leaves_the_start_as_it_is(kept: list[str], caplog: pytest.LogCaptureFixture) -> None:
    one, before = head(), {name: variable.numpy() for name, variable in head().by_name.items()}
    stored = in_layout("tf1", arrays()).arrays
    stored = {name: value for name, value in stored.items() if name.endswith("predictions/output_bias") and kept}
    with caplog.at_level(logging.INFO):
        one.take(WeightFile(Path("x"), "tf1", stored))
    assert "random start" in caplog.text and ("only bias" in caplog.text) == bool(kept)
    for name, variable in one.by_name.items():
        np.testing.assert_array_equal(variable.numpy(), before[name])


def test_a_head_of_another_shape_is_an_error() -> None:
    with pytest.raises(UserError, match=r"bias has the shape \(8,\) instead of \(9,\)"):
        head().take(in_layout("tf2", arrays() | {"bias": np.ones(8, np.float32)}))


def test_the_start_is_random_by_seed_with_zero_biases() -> None:
    one, same, other = (head(seed).by_name for seed in (1, 1, 2))
    kernel = "transform/dense/kernel"
    assert (one[kernel].numpy() == same[kernel].numpy()).all() and (one[kernel].numpy() != other[kernel].numpy()).any()
    assert abs(one[kernel].numpy()).max() <= 2 * CONFIG.initializer_range
    assert not one["bias"].numpy().any() and not one["transform/dense/bias"].numpy().any()
    assert (one["transform/LayerNorm/gamma"].numpy() == 1).all()


def test_only_the_kernel_decays() -> None:
    assert [name for name, variable in head().by_name.items() if decays(variable)] == ["transform/dense/kernel"]
