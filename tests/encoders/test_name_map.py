"""Canonical names: every layout of the same model gives the same weights."""

import os
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import pytest

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.name_map import CanonicalWeights, canonical_weights, is_known_irrelevant
from easytransfer_mtl.encoders.weight_files import WeightFile, read_weights
from easytransfer_mtl.errors import UserError

PYTORCH = Path(__file__).parents[1] / "fixtures" / "pytorch_bert"
GOLDEN = Path(__file__).parents[1] / "golden"
TF1 = GOLDEN / "checkpoint" / "pai-bert-tiny-zh" / "model.ckpt"


def weight_file(arrays: dict[str, np.ndarray]) -> WeightFile:
    return WeightFile(Path("model"), "tf1", arrays)


def all_names(layers: int) -> set[str]:
    names = {f"embeddings/{name}_embeddings" for name in ("word", "position", "token_type")}
    dense = ["pooler/dense"]
    norms = ["embeddings/LayerNorm"]
    for layer in (f"encoder/layer_{i}" for i in range(layers)):
        dense += [f"{layer}/attention/self/{part}" for part in ("query", "key", "value")]
        dense += [f"{layer}/{part}/dense" for part in ("attention/output", "intermediate", "output")]
        norms += [f"{layer}/attention/output/LayerNorm", f"{layer}/output/LayerNorm"]
    names |= {f"{name}/{part}" for name in dense for part in ("kernel", "bias")}
    return names | {f"{name}/{part}" for name in norms for part in ("gamma", "beta")}


@pytest.mark.parametrize(
    "name, irrelevant",
    [
        ("cls/predictions/output_bias", True),
        ("bert_pre_trained_model/cls/seq_relationship/output_weights", True),
        ("cls.predictions.decoder.weight", True),
        ("module.cls.seq_relationship.bias", True),
        ("bert.embeddings.position_ids", True),
        ("embeddings.token_type_ids", True),
        ("tf_bert_for_pre_training/mlm___cls/predictions/bias:0", True),
        ("nsp___cls/seq_relationship/kernel:0", True),
        ("predictions/transform/dense/kernel:0", True),
        ("bert/pooler/dense/kernel/adam_m", True),
        ("global_step", True),
        ("albert.sop_classifier.classifier.weight", True),
        ("electra.discriminator_predictions.dense.weight", True),
        ("discriminator_predictions/dense_1/bias", True),
        ("generator/encoder/layer_0/output/dense/kernel", True),
        ("generator_lm_head.bias", True),
        ("temperature", True),
        ("bert/pooler/dense/kernel", False),
        ("tnews_dense/bias", False),
        ("classifier.weight", False),
        ("classifier/kernel:0", False),
        ("bert", False),
    ],
)
def test_known_irrelevant(name: str, irrelevant: bool) -> None:
    assert is_known_irrelevant(name) is irrelevant


def assert_same(found: CanonicalWeights, expected: dict[str, np.ndarray]) -> None:
    assert found.left_over == () and found.heads == {}
    assert found.encoder.keys() == expected.keys()
    for name, array in expected.items():
        assert found.encoder[name].dtype == np.float32
        np.testing.assert_array_equal(found.encoder[name], array, err_msg=name)


@pytest.mark.parametrize("folder", ["safetensors", "sharded_safetensors", "zip", "legacy", "sharded_bin", "pretraining"])
def test_pytorch_model(folder: str) -> None:
    with np.load(PYTORCH / "expected.npz") as values:
        stored = {name.removeprefix("weights/"): values[name] for name in values.files if name.startswith("weights/")}
    expected = {}
    for name, array in stored.items():
        linear = name.endswith(".weight") and "LayerNorm" not in name and "_embeddings" not in name
        expected[canonical_name(name)] = array.T if linear else array
    assert expected.keys() == all_names(layers=2)
    assert_same(canonical_weights(read_weights(PYTORCH / folder)), expected)


def test_pytorch_model_gives_pytorch_outputs_in_tensorflow() -> None:
    import tensorflow as tf
    from transformers import BertConfig, TFBertModel

    found = canonical_weights(read_weights(PYTORCH / "zip")).encoder
    model = TFBertModel(BertConfig.from_pretrained(PYTORCH))
    with np.load(PYTORCH / "expected.npz") as values:
        inputs = {name.removeprefix("inputs/"): values[name] for name in values.files if name.startswith("inputs/")}
        expected = {name: values[name] for name in ("last_hidden_state", "pooler_output")}
    model(model.dummy_inputs)
    for weight in model.weights:
        weight.assign(found[canonical_name(weight.name)])
    outputs = model({name: tf.constant(value) for name, value in inputs.items()})
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=2e-6)


@pytest.mark.parametrize("model_class_name", ["TFBertModel", "TFBertForPreTraining"])
@pytest.mark.parametrize("safe_serialization", [False, True])
@pytest.mark.parametrize("max_shard_size", ["1GB", "3KB"])
def test_hugging_face_tensorflow_model(
    model_class_name: str, safe_serialization: bool, max_shard_size: str, tmp_path: Path
) -> None:
    import transformers

    config = transformers.BertConfig(
        vocab_size=24, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    model = getattr(transformers, model_class_name)(config)
    model(model.dummy_inputs)
    model.save_pretrained(tmp_path, safe_serialization=safe_serialization, max_shard_size=max_shard_size)
    encoder = {canonical_name(weight.name): weight.numpy() for weight in model.bert.weights}
    assert encoder.keys() == all_names(layers=2)
    assert_same(canonical_weights(read_weights(tmp_path)), encoder)


def test_google_tf1_checkpoint() -> None:
    stored = read_weights(TF1)
    expected = {name.removeprefix("bert/"): array for name, array in stored.arrays.items() if name.startswith("bert/")}
    assert expected.keys() == all_names(layers=2)
    assert_same(canonical_weights(stored), expected)


def test_easytransfer_training_checkpoint_keeps_its_heads() -> None:
    with np.load(GOLDEN / "train" / "nodrop_noshuffle_adam" / "final_weights.npz") as values:
        arrays = {name: values[name] for name in values.files}
    found = canonical_weights(weight_file(arrays))
    assert found.encoder.keys() == all_names(layers=2)
    scope = "bert_pre_trained_model/bert/"
    for name, array in found.encoder.items():
        np.testing.assert_array_equal(array, arrays[scope + name])
    heads = [f"{task}_dense/{part}" for task in ("tnews", "ocemotion", "ocnli") for part in ("kernel", "bias")]
    assert sorted(found.heads) == sorted(heads)
    assert all(found.heads[name] is arrays[name] for name in heads)
    assert found.left_over == ()


def test_unknown_names_are_left_over() -> None:
    arrays = {"classifier.weight": np.zeros((2, 8), np.float32), "bert.adapter.bias": np.zeros(2, np.float32)}
    assert canonical_weights(weight_file(arrays)).left_over == ("bert.adapter.bias", "classifier.weight")


def test_two_weights_of_one_name() -> None:
    arrays = {f"{scope}pooler.dense.bias": np.zeros(2, np.float32) for scope in ("", "bert.")}
    with pytest.raises(
        UserError, match="'pooler.dense.bias' and 'bert.pooler.dense.bias' are both the encoder's pooler/dense"
    ):
        canonical_weights(weight_file(arrays))


@pytest.mark.parametrize("array", [np.zeros(4, np.float32), np.zeros((2, 2), np.int64), np.float32(1)])
def test_weight_that_is_no_matrix_of_floats(array: np.ndarray) -> None:
    with pytest.raises(UserError, match="'bert/pooler/dense/kernel' must have 2 axes of floats"):
        canonical_weights(weight_file({"bert/pooler/dense/kernel": array}))


def test_double_precision_becomes_float32() -> None:
    found = canonical_weights(weight_file({"bert.pooler.dense.weight": np.array([[0.1, 2], [3, 4], [5, 6]])}))
    kernel = found.encoder["pooler/dense/kernel"]
    assert kernel.dtype == np.float32 and kernel.flags.c_contiguous
    np.testing.assert_array_equal(kernel, np.array([[0.1, 3, 5], [2, 4, 6]], np.float32))
