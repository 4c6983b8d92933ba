"""Files to a ready encoder: every layout gives its own outputs, and nothing starts from random weights unasked."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.loading import LoadedEncoder, load_config, load_encoder
from easytransfer_mtl.errors import UserError

PYTORCH = Path(__file__).parents[1] / "fixtures" / "pytorch_bert"
ZOO = Path(__file__).parents[1] / "golden" / "checkpoint" / "pai-bert-tiny-zh"
IDS = np.array([[2, 7, 8, 9, 3, 0], [2, 10, 3, 11, 12, 3]], np.int32)
MASK = np.array([[1, 1, 1, 1, 1, 0], [1] * 6], np.int32)
SEGMENTS = np.array([[0] * 6, [0, 0, 0, 1, 1, 1]], np.int32)


def load(folder: Path, **options: Any) -> LoadedEncoder:
    return load_encoder(find_encoder(str(folder)), DropoutClock(options.pop("seed", 0)), **options)


def change_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    value = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}), encoding="utf-8")
    return folder


@pytest.fixture
def empty(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the folder with config and vocabulary but no weights."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


@pytest.fixture(scope="module")
def hugging_face(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny TFBertModel saved by transformers, as HDF5 and as safetensors, and the model."""
    from transformers import BertConfig, TFBertModel

    folder = tmp_path_factory.mktemp("hugging_face")
    model = TFBertModel(BertConfig.from_pretrained(tiny_encoder, initializer_range=0.5))
    model(model.dummy_inputs)
    for name, safe in (("h5", False), ("safetensors", True)):
        model.save_pretrained(folder / name, safe_serialization=safe)
        shutil.copyfile(tiny_encoder / "vocab.txt", folder / name / "vocab.txt")
    return folder, model


@pytest.fixture
def saved(hugging_face: tuple[Path, Any], tmp_path: Path) -> Path:
    """A safetensors folder to change."""
    return Path(shutil.copytree(hugging_face[0] / "safetensors", tmp_path / "saved"))


@pytest.mark.parametrize("layout", ["h5", "safetensors"])
def test_hugging_face_folder_gives_transformers_outputs(layout: str, hugging_face: tuple[Path, Any]) -> None:
    folder, model = hugging_face
    encoder = load(folder / layout).encoder
    assert encoder.config.hidden_act == "gelu"
    expected = model(input_ids=IDS, attention_mask=MASK, token_type_ids=SEGMENTS)
    for found, value in zip(
        encoder.encode(tf.constant(IDS), tf.constant(MASK), tf.constant(SEGMENTS)), expected[:2], strict=True
    ):
        np.testing.assert_allclose(found, value, atol=5e-6)


@pytest.mark.parametrize("layout", ["safetensors", "sharded_safetensors", "zip", "legacy", "sharded_bin", "pretraining"])
def test_pytorch_checkpoint_gives_pytorch_outputs(layout: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PYTORCH / layout, tmp_path / layout))
    shutil.copyfile(PYTORCH / "config.json", folder / "config.json")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    encoder = load(folder).encoder
    with np.load(PYTORCH / "expected.npz") as values:
        names = ("input_ids", "attention_mask", "token_type_ids")
        found = encoder.encode(*(tf.constant(values[f"inputs/{name}"].astype(np.int32)) for name in names))
        np.testing.assert_allclose(found[0], values["last_hidden_state"], rtol=0, atol=2e-6)
        np.testing.assert_allclose(found[1], values["pooler_output"], rtol=0, atol=2e-6)


def test_tf1_checkpoint_gives_every_variable_by_name() -> None:
    loaded = load(ZOO / "model.ckpt")
    reader = tf.train.load_checkpoint(str(ZOO / "model.ckpt"))
    for name, variable in loaded.encoder.canonical_variables.items():
        np.testing.assert_array_equal(variable, reader.get_tensor(f"bert/{name}"), err_msg=name)
    assert len(loaded.vocabulary) == 570 and loaded.heads == {}


@pytest.mark.parametrize(
    "gelu, tf1, hugging_face_exact",
    [("auto", "gelu_new", "gelu"), ("tanh", "gelu_new", "gelu_new"), ("exact", "gelu", "gelu")],
)
def test_gelu_is_the_originals_for_its_checkpoints_and_the_configs_elsewhere(
    gelu: str, tf1: str, hugging_face_exact: str, tiny_encoder: Path
) -> None:
    assert load_config(find_encoder(str(ZOO)), gelu).hidden_act == tf1
    assert load_config(find_encoder(str(tiny_encoder)), gelu).hidden_act == hugging_face_exact


def test_activation_that_nobody_knows(empty: Path) -> None:
    for activation in ("gellu", 3):
        with pytest.raises(UserError, match="hidden_act"):
            load(change_config(empty, hidden_act=activation), random_init=True)


def test_folder_without_weights_never_starts_at_random_by_itself(empty: Path) -> None:
    with pytest.raises(UserError, match="weights"):
        load(empty)
    with pytest.raises(UserError, match="weights"):
        load(empty, random_pooler=True)


def test_random_start_reads_no_weights_and_follows_the_seed(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"damaged")
    change_config(saved, initializer_range=0.02)
    one, same, other = (load(saved, random_init=True, seed=seed).encoder for seed in (1, 1, 2))
    for name, variable in one.canonical_variables.items():
        np.testing.assert_array_equal(variable, same.canonical_variables[name])
        # As in the original: q/k/v biases are random like kernels, other biases 0, LayerNorm 1 and 0.
        if name.endswith("/gamma"):
            assert (variable.numpy() == 1).all()
        elif name.endswith("/beta") or name.endswith("/bias") and "/self/" not in name:
            assert (variable.numpy() == 0).all()
        else:
            assert 0 < np.abs(variable).max() <= 0.04 and not np.array_equal(variable, other.canonical_variables[name])
    spread = one.canonical_variables["embeddings/word_embeddings"].numpy().std()
    assert abs(spread - 0.02 * 0.8796) < 0.004  # a normal distribution cut at two deviations has 0.8796 of its deviation


def test_checkpoint_without_pooler_needs_leave(saved: Path) -> None:
    arrays = {name: array for name, array in load_file(saved / "model.safetensors").items() if "pooler" not in name}
    save_file(arrays, saved / "model.safetensors", metadata={"format": "tf"})
    with pytest.raises(UserError, match=r"missing \(2\): .*pooler/dense/kernel"):
        load(saved)
    encoder, random = load(saved, random_pooler=True).encoder, load(saved, random_init=True).encoder
    kernel, query = "pooler/dense/kernel", "encoder/layer_0/attention/self/query/kernel"
    np.testing.assert_array_equal(encoder.canonical_variables[kernel], random.canonical_variables[kernel])
    assert not np.array_equal(encoder.canonical_variables[query], random.canonical_variables[query])


def test_pooler_of_the_checkpoint_wins_over_a_random_one(saved: Path, hugging_face: tuple[Path, Any]) -> None:
    pooler = hugging_face[1].bert.pooler.dense.kernel
    np.testing.assert_array_equal(load(saved, random_pooler=True).encoder.canonical_variables["pooler/dense/kernel"], pooler)


def test_missing_left_over_and_misshapen_weights_are_named(saved: Path) -> None:
    arrays = load_file(saved / "model.safetensors")
    arrays["bert/adapter/kernel:0"] = arrays.pop("bert/encoder/layer_._1/intermediate/dense/bias:0")
    arrays["bert/encoder/layer_._0/output/dense/bias:0"] = np.zeros(7, np.float32)
    save_file(arrays, saved / "model.safetensors", metadata={"format": "tf"})
    with pytest.raises(UserError) as error:
        load(saved)
    lines = str(error.value).splitlines()
    assert "  missing (1): encoder/layer_1/intermediate/dense/bias" in lines
    assert "  left over (1): bert/adapter/kernel:0" in lines
    assert "  of another shape (1): encoder/layer_0/output/dense/bias (7,) instead of (8,)" in lines


def test_config_of_another_depth_does_not_fit(saved: Path) -> None:
    with pytest.raises(UserError, match=r"left over \(16\): encoder/layer_1/.* and 4 more"):
        load(change_config(saved, num_hidden_layers=1))
    with pytest.raises(UserError, match=r"missing \(16\): encoder/layer_2/"):
        load(change_config(saved, num_hidden_layers=3))


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"vocab_size": -1}, "vocab_size is -1"),
        ({"intermediate_size": "16"}, "intermediate_size is '16'"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_attention_heads": 3}, "cannot be divided among 3 heads"),
        ({"max_position_embeddings": None}, "max_position_embeddings is None"),
        ({"type_vocab_size": 1.5}, "type_vocab_size is 1.5"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2'"),
        ({"model_type": "roberta"}, "pad_token_id is missing"),
        ({"model_type": ["bert"]}, "model_type is ['bert']"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0"),
        ({"attention_probs_dropout_prob": "0.1"}, "attention_probs_dropout_prob is '0.1'"),
        ({"initializer_range": -1}, "initializer_range is -1"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'"),
        ({"model_type": "electra", "embedding_size": 10**9}, "embedding_size is 1000000000"),
        ({"model_type": "electra", "type_vocab_size": 0}, "type_vocab_size is 0"),
        ({"model_type": "albert", "num_hidden_groups": 2}, "num_hidden_groups is 2; only 1 is supported"),
        ({"model_type": "albert", "inner_group_num": 3}, "inner_group_num is 3; only 1 is supported"),
        ({"model_type": "roformer", "num_attention_heads": 8}, "RoFormer's heads have an even width"),
        ({"model_type": "deberta", "talking_head": True}, "talking_head is True; only False is supported"),
        ({"model_type": "deberta-v2", "position_buckets": "256"}, "position_buckets is '256'"),
        ({"model_type": "deberta-v2", "conv_kernel_size": 10**6}, "conv_kernel_size is 1000000"),
    ],
)
def test_absurd_configs_are_errors_before_anything_is_built(changes: dict[str, Any], named: str, empty: Path) -> None:
    with pytest.raises(UserError) as error:
        load(change_config(empty, **changes), random_init=True)
    assert named in str(error.value) and "config.json" in str(error.value)


def test_easytransfers_roberta_is_a_bert(empty: Path) -> None:
    change_config(empty, model_type="roberta")
    assert load_config(EncoderFiles(empty, empty, tanh_gelu=True)).model_type == "bert"


def test_config_that_is_no_object(empty: Path) -> None:
    (empty / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="expected a JSON object"):
        load(empty)


def test_vocabulary_may_be_smaller_than_vocab_size_but_not_larger(empty: Path) -> None:
    assert len(load(change_config(empty, vocab_size=40), random_init=True).vocabulary) == 25
    with pytest.raises(UserError, match="25 tokens, more than vocab_size 24"):
        load(change_config(empty, vocab_size=24), random_init=True)
