"""Weights of every format: rows taken exactly, heads for masked words with them, everything else byte for byte."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.weight_files import read_weights, safetensors_stream
from easytransfer_mtl.encoders.weight_files.safetensors_stream import RowsOf, copy_tensors, stored_tensors
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pruning.weights import WORDS, open_weights

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pytorch_bert"
KEPT = np.array([0, 2, 3, 7])


def is_of_words(name: str) -> bool:
    return canonical_name(name) == WORDS


@pytest.mark.parametrize("source", ["zip", "legacy", "safetensors", "pretraining", "sharded_bin", "sharded_safetensors"])
def test_every_format(source: str, tmp_path: Path) -> None:
    before = read_weights(FIXTURES / source).arrays
    weights = open_weights(FIXTURES / source)
    pruned = weights.pruned(KEPT)
    pruned.write(tmp_path)
    after = read_weights(tmp_path).arrays
    assert before.keys() == after.keys()
    vocabulary = next(len(array) for name, array in before.items() if is_of_words(name))
    assert (weights.rows, pruned.rows) == (vocabulary, len(KEPT))
    of_words = {name for name in before if is_of_words(name) or name.startswith("cls.predictions.decoder")}
    of_words |= {"cls.predictions.bias"} & before.keys()
    assert len(of_words) == (4 if source == "pretraining" else 1)
    for name, array in before.items():
        np.testing.assert_array_equal(array[KEPT] if name in of_words else array, after[name], name)
    floats = sum(array.size for array in after.values() if array.dtype.kind == "f")
    assert pruned.parameters == floats and pruned.size == sum(array.nbytes for array in after.values())


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_stays(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    shutil.copyfile(FIXTURES / "half" / f"{name}.safetensors", folder / "model.safetensors")
    open_weights(folder).pruned(KEPT).write(tmp_path)
    before, after = (raw(path / "model.safetensors") for path in (folder, tmp_path))
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert tensor["dtype"] == after[key]["dtype"]
        width = len(tensor["data"]) // tensor["shape"][0] if tensor["shape"] else 0
        rows = [tensor["data"][width * row : width * (row + 1)] for row in KEPT]
        assert bytes(after[key]["data"]) == (b"".join(rows) if is_of_words(key) else bytes(tensor["data"]))


def raw(path: Path) -> dict[str, Any]:
    return dict(safetensors.deserialize(path.read_bytes()))


def test_the_library_reads_the_file(tmp_path: Path) -> None:
    """Other widths, a scalar, nothing at all."""
    arrays = {
        "b": np.arange(5, dtype=np.uint8), "a": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.array(3.0),
        "d": np.zeros((0, 4), np.float16), "e": np.array([True, False]), "f": np.arange(3, dtype=np.int64),
    }  # fmt: skip
    save_file(arrays, tmp_path / "theirs.safetensors", {"format": "pt"})
    copy_tensors(tmp_path / "ours.safetensors", stored_tensors(tmp_path / "theirs.safetensors"))
    assert raw(tmp_path / "ours.safetensors") == raw(tmp_path / "theirs.safetensors")
    with safetensors.safe_open(tmp_path / "ours.safetensors", "numpy") as ours:
        assert ours.metadata() == {"format": "pt"}
        assert all(np.array_equal(ours.get_tensor(name), array) for name, array in arrays.items())


def test_rows_are_taken_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_stream, "PIECE", 24)
    save_file({"a": np.arange(22, dtype=np.int32).reshape(11, 2)}, tmp_path / "a.safetensors")
    rows = np.array([1, 2, 7, 8, 10])
    taken = RowsOf(stored_tensors(tmp_path / "a.safetensors")["a"], rows)
    pieces = list(taken.pieces())
    found = np.frombuffer(b"".join(pieces), np.int32).reshape(taken.shape)
    np.testing.assert_array_equal(found, np.arange(22).reshape(11, 2)[rows])
    assert len(pieces) == 3 and taken.size == found.nbytes


def write_encoder(folder: Path, **more: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({"bert.embeddings.word_embeddings.weight": np.ones((9, 2), np.float32), **more}, folder / "model.safetensors")
    return folder


def test_heads_of_other_types_and_what_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = np.arange(18, dtype=np.float32).reshape(9, 2)
    heads = {
        name: table if name.endswith("weight") else table[:, 0].copy()
        for name in (
            "predictions.decoder.weight", "predictions.bias", "generator_lm_head.weight", "lm_predictions.lm_head.bias",
        )
    }  # fmt: skip
    kept = {"cls.predictions.transform.dense.weight": np.ones((9, 9), np.float32), "classifier.bias": np.ones(3, np.float32)}
    folder = write_encoder(tmp_path / "full", **heads, **kept, **{"adapter.table": table})
    with caplog.at_level("INFO"):
        open_weights(folder).pruned(KEPT).write(tmp_path)
    after = read_weights(tmp_path).arrays
    assert all(np.array_equal(after[name], array[KEPT]) for name, array in heads.items())
    assert np.array_equal(after["classifier.bias"], kept["classifier.bias"])
    assert "adapter.table" not in after and "Left aside: adapter.table" in caplog.text


def test_what_transformers_has_no_place_for_comes_along(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "full")
    save_file({"pooler.dense.bias": np.ones(2, np.float32)}, folder / "additional.safetensors")
    open_weights(folder).pruned(KEPT).write(tmp_path)
    assert (tmp_path / "additional.safetensors").read_bytes() != b""
    assert np.array_equal(read_weights(tmp_path).arrays["pooler.dense.bias"], np.ones(2))


def test_no_or_two_word_embeddings_are_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "two")
    save_file(
        {f"{scope}embeddings.word_embeddings.weight": np.ones((9, 2), np.float32) for scope in ("", "bert.")},
        folder / "model.safetensors",
    )
    with pytest.raises(UserError, match="word embeddings of one encoder are wanted"):
        open_weights(folder)
    save_file({"linear.weight": np.ones((9, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(UserError, match="found: none"):
        open_weights(folder)


def test_tensorflows_layout_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tf")
    save_file({"bert/embeddings/word_embeddings/weight:0": np.ones((9, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(UserError, match="has TensorFlow's layout; prune_vocabulary takes PyTorch's"):
        open_weights(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html>",
        (1 << 40).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"{}",
        b"\x08" + bytes(20),
        (64).to_bytes(8, "little") + b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 9]}}'.ljust(64),
    ],
)
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="model.safetensors"):
        open_weights(tmp_path)
