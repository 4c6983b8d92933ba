"""A saved encoder is PyTorch's, transformers' TensorFlow class takes it, and ours."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import transformers
from pytorch_process import need_pytorch, pytorch_outputs
from safetensors.numpy import load_file
from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.errors import UserError

FIXTURES = Path(__file__).parents[1] / "fixtures"
PYTORCH = {path.parent.name: path for path in FIXTURES.glob("pytorch_variants/*/model.safetensors")}
PYTORCH["bert"] = FIXTURES / "pytorch_bert/safetensors/model.safetensors"
del PYTORCH["ernie"]  # becomes a BERT


@pytest.fixture
def encoder(saved_type: Any) -> Encoder:
    """A random encoder of each type."""
    return load_encoder(find_encoder(str(saved_type.folder / "h5")), DropoutClock(9), random_init=True).encoder


@pytest.fixture
def best(encoder: Encoder, tiny_encoder: Path, tmp_path: Path) -> Path:
    """The same saved."""
    save_encoder(encoder, load_vocabulary(tiny_encoder / "vocab.txt"), tmp_path / "best")
    return tmp_path / "best"


@pytest.mark.parametrize("variant", sorted(PYTORCH))
def test_names_shapes_and_values_are_those_of_pytorchs_own_file(variant: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    config = PYTORCH[variant].parent / "config.json"
    config = config if config.is_file() else FIXTURES / "pytorch_bert/config.json"
    (source / "config.json").write_bytes(config.read_bytes())
    (source / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    (source / "model.safetensors").write_bytes(PYTORCH[variant].read_bytes())
    files = find_encoder(str(source))
    save_encoder(load_encoder(files, DropoutClock(0)).encoder, files.vocabulary, tmp_path / "best")
    written, original = load_file(tmp_path / "best/model.safetensors"), load_file(PYTORCH[variant])
    expected = {name.removeprefix(f"{variant.split('_')[0]}."): array for name, array in original.items()}
    assert written.keys() == expected.keys()
    for name, array in expected.items():
        if "embed_positions" in name:  # computed
            np.testing.assert_allclose(written[name], array, atol=1e-6)
        else:
            np.testing.assert_array_equal(written[name], array)
    with safetensors.safe_open(tmp_path / "best/model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_config_and_tokenizer_say_what_transformers_is_to_build(saved_type: Any, encoder: Encoder, best: Path) -> None:
    config = json.loads((best / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == saved_type.model_type
    assert config["architectures"] == [type(saved_type.model).__name__.removeprefix("TF")]
    again = transformers.AutoConfig.from_pretrained(best)
    for key, value in encoder.config.to_dict().items():
        if key not in ("architectures", "transformers_version", "_name_or_path"):
            assert getattr(again, key, None) == value, key
    tokenizer = transformers.AutoTokenizer.from_pretrained(best)
    assert tokenizer("天A地", "人")["input_ids"] == [2, 5, 1, 6, 3, 7, 3]
    positions, types = {"roberta": (14, 2), "xlm-roberta": (14, 1)}.get(saved_type.model_type, (16, 2))
    assert tokenizer.model_max_length == positions
    assert ("token_type_ids" in tokenizer("天")) == (types == 2)


def test_our_own_loading_gives_the_same_outputs_exactly(rows: Any, encoder: Encoder, best: Path) -> None:
    again = load_encoder(find_encoder(str(best)), DropoutClock(10)).encoder
    for found, expected in zip(again.encode(*rows), encoder.encode(*rows), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (best / "additional.safetensors").exists() == (not kind_of(encoder.config).has_pooler)


def test_transformers_tensorflow_class_takes_the_state(saved_type: Any, rows: Any, encoder: Encoder, best: Path) -> None:
    model = type(saved_type.model)(transformers.AutoConfig.from_pretrained(best))
    _, told = load_pytorch_state_dict_in_tf2_model(model, load_file(best / "model.safetensors"), output_loading_info=True)
    assert told["missing_keys"] == told["unexpected_keys"] == []
    check_outputs(rows.outputs(model), encoder, rows)


def test_transformers_pytorch_classes_load_them(
    config_named: Callable[[str], Any], types: list[str], rows: Any, tiny_encoder: Path, tmp_path: Path
) -> None:
    need_pytorch()
    encoders = {}
    for name in types:
        config, random = config_named(name), np.random.default_rng(3)
        encoder = encoders[tmp_path / name] = kind_of(config).build(config, DropoutClock(0))
        for variable in encoder.canonical_variables.values():
            variable.assign(random.normal(0, 0.4, variable.shape))
        save_encoder(encoder, load_vocabulary(tiny_encoder / "vocab.txt"), tmp_path / name)
    given = {
        folder: (rows.input_ids, rows.input_mask, encoder.token_types(rows.segment_ids))
        for folder, encoder in encoders.items()
    }
    found = pytorch_outputs("AutoModel", given)
    for encoder, (told, outputs) in zip(encoders.values(), found, strict=True):
        assert told.pop("class") == kind_of(encoder.config).torch_class and not any(told.values()), told
        sequence, pooled = encoder.encode(*rows)
        is_text = np.asarray(rows.input_mask, bool)  # DeBERTa's states of padding differ between the libraries
        np.testing.assert_allclose(outputs["last_hidden_state"][is_text], sequence[is_text], atol=1e-5)
        if kind_of(encoder.config).has_pooler:
            np.testing.assert_allclose(outputs["pooler_output"], pooled, atol=1e-5)


def check_outputs(outputs: Any, encoder: Encoder, rows: Any) -> None:
    sequence, pooled = encoder.encode(*rows)
    np.testing.assert_allclose(outputs.last_hidden_state, sequence, atol=1e-5)
    if kind_of(encoder.config).has_pooler:
        np.testing.assert_allclose(outputs.pooler_output, pooled, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_not_written_and_not_loaded(
    value: float, encoder: Encoder, best: Path, tmp_path: Path
) -> None:
    variable = encoder.last_layer_variables[0]
    variable.assign(np.full(variable.shape, value))
    with pytest.raises(UserError, match=r"of encoder/.* are no numbers"):
        save_encoder(encoder, load_vocabulary(best / "vocab.txt"), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    for file in best.glob("*.safetensors"):
        good, arrays = file.read_bytes(), load_file(file)
        name = sorted(name for name in arrays if "embed_positions" not in name)[-1]
        arrays[name].flat[-1] = value
        safetensors.numpy.save_file(arrays, file)
        with pytest.raises(UserError, match=f"model.safetensors: 1 of .* of {name} are no numbers"):
            load_encoder(find_encoder(str(best)), DropoutClock(0))
        file.write_bytes(good)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_every_file_has_the_umasks_mode(umask: int, encoder: Encoder, tiny_encoder: Path, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_encoder(encoder, load_vocabulary(tiny_encoder / "vocab.txt"), tmp_path / "best")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "best").iterdir()} == {0o666 & ~umask}
