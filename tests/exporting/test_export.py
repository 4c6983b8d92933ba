"""export: what is written runs without this package and says what predict says; what cannot be exported is told."""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from exports import allow_changes
from published_tokenizers import ODD, published_encoder
from stored import store_model
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from easytransfer_mtl import __main__ as program
from easytransfer_mtl.commands import export
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.export_settings import ExportSettings
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.exporting import onnx_model
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.tasks import CONTEST_TASKS

BLOCKED = ("easytransfer_mtl", "transformers", "tf_keras")
ROWS = 1500
LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose TNEWS texts are normalized."""
    best = store_model(tmp_path_factory.mktemp("export") / "run", tiny_encoder, 3, reads_texts=True).path / "best"
    value = json.loads((best / "tasks.json").read_text(encoding="utf-8"))
    value["inputs"]["TNEWS"]["text_normalization"] = "nfkc"
    (best / "tasks.json").write_text(json.dumps(value), encoding="utf-8")
    allow_changes(best, "tasks.json")
    return best.parent


@pytest.fixture(scope="module")
def saved(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(model, tmp_path_factory.mktemp("saved") / "天 model")


def exported(model: Path, output: Path, **more: Any) -> Path:
    assert export.run(ExportSettings(checkpoint_path=str(model), export_dir_base=str(output), **more)) == 0
    return output


def invented(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    odd = [*"ＡａΣé，。龘 \u3000", "Word", "[SEP]", ""]
    return ["".join(chosen.choices([*LETTERS, *odd], k=chosen.randint(0, 24))).strip("\t\r\n") for _ in range(count)]


def from_client(folder: Path, task: str, rows: list[tuple[str, ...]]) -> np.ndarray:
    """Returns the probabilities that client.py prints in a process that cannot import this package, float64 [N, C]."""
    code = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); sys.argv = ['client.py', {task!r}]\n"
    code += f"import runpy; runpy.run_path({str(folder / 'client.py')!r}, run_name='__main__')"
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "default"}
    text = "".join("\t".join(row) + "\n" for row in rows)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=text.encode(), capture_output=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert "warn" not in done.stderr.decode().replace("WARNING: All log messages before absl", "").lower()
    results = [json.loads(line) for line in done.stdout.decode().splitlines()]
    for result in results:
        assert result["label"] == max(result["probabilities"], key=result["probabilities"].get)
    return np.array([list(result["probabilities"].values()) for result in results])


def own(model: Path, task: str, rows: list[tuple[str, ...]]) -> np.ndarray:
    return Predictor(model).predict(task, [str(n) for n in range(len(rows))], rows).probabilities


def test_the_client_says_what_predict_says_without_this_package(model: Path, saved: Path) -> None:
    pairs = list(zip(invented(ROWS, 1), invented(ROWS, 2), strict=True))
    wanted = own(model, "OCNLI", pairs)
    assert wanted.std(axis=0).max() > 0.01  # the texts make a difference
    np.testing.assert_allclose(from_client(saved, "OCNLI", pairs), wanted, atol=1e-5)


def test_signatures_take_any_shape_and_need_no_compiler(model: Path, saved: Path) -> None:
    loaded = tf.saved_model.load(str(saved))
    assert set(loaded.signatures) == {"serving_default", "tnews", "ocemotion", "ocnli"}
    texts = [(text,) for text in invented(7, 3)]
    arrays = client_of(saved).batch([client_encode(saved, "TNEWS", row) for row in texts])
    rows = {name: tf.constant(array) for name, array in arrays.items()}
    every = loaded.signatures["serving_default"](**rows)
    assert set(every) == {
        f"{task.name.lower()}_{part}" for task in CONTEST_TASKS for part in ("predictions", "probabilities")
    }
    for task in CONTEST_TASKS:
        signature = loaded.signatures[task.name.lower()]
        inputs = signature.structured_input_signature[1]
        assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
            name: (tf.int32, [None, None]) for name in ("input_ids", "input_mask", "segment_ids")
        }
        found = signature(**rows)
        assert set(found) == {"predictions", "probabilities"} and found["predictions"].dtype == tf.int32
        assert found["probabilities"].shape == (7, task.num_labels)
        for name, value in found.items():
            np.testing.assert_allclose(value, every[f"{task.name.lower()}_{name}"], atol=1e-6)
    wanted = own(model, "TNEWS", texts)  # with its normalization
    np.testing.assert_allclose(every["tnews_probabilities"], wanted, atol=1e-5)
    graph = SavedModel.FromString((saved / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    compiled = [name for function in graph.library.function for name in function.attr if "Xla" in name]
    assert graph.library.function and not compiled


def client_of(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("exported_client", folder / "client.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def client_encode(folder: Path, task: str, texts: tuple[str, ...]) -> tuple[list[int], list[int]]:
    client = client_of(folder)
    how = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))["inputs"][task]
    found: tuple[list[int], list[int]] = client.encode(
        client.Tokenizer.from_file(str(folder / "tokenizer.json")), how, list(texts)
    )
    return found


@pytest.mark.parametrize("kind", ["unigram", "wordpiece", "bpe"])
def test_the_client_encodes_with_a_published_tokenizer(
    kind: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = published_encoder(tmp_path / "encoder", tiny_encoder, kind)
    best = store_model(tmp_path / "run", encoder, 2, length=12).path / "best"
    monkeypatch.setattr(export, "write_saved_model", lambda model, folder: None)
    output = exported(best, tmp_path / "out")
    builder = feature_builder(RunFolder(best).encoder_files.vocabulary, "none", 12)
    for row in [("今天天气好", "明天天气不好" * 4), *((text,) for text in ODD), *((text, "Hello") for text in ODD)]:
        ids, segments = client_encode(output, "OCNLI", row)
        wanted = builder.encode(row)
        assert (ids, segments.count(0)) == (wanted.input_ids, wanted.first_length)
        assert sorted(segments) == segments


def test_onnx_says_what_predict_says(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    output = exported(model, tmp_path / "out", export_format="onnx")
    assert {path.name for path in output.iterdir()} == {
        "model.onnx", "tokenizer.json", "vocab.txt", "tasks.json", "client.py"
    }  # fmt: skip
    pairs = list(zip(invented(130, 1), invented(130, 2), strict=True))
    np.testing.assert_allclose(from_client(output, "OCNLI", pairs), own(model, "OCNLI", pairs), atol=1e-5)


def test_what_onnx_lacks_is_told(tiny_encoder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    (encoder / "config.json").write_text(json.dumps({**config, "model_type": "deberta-v2"}), encoding="utf-8")
    run = store_model(tmp_path / "run", encoder, 2).path
    with pytest.raises(UserError, match="tf2onnx cannot write this model as ONNX .*Erfc"):
        exported(run, tmp_path / "out", export_format="onnx")
    assert not (tmp_path / "out").exists()


def test_onnx_without_its_library_is_told_first(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs tf2onnx, which is not installed"):
        exported(tmp_path / "none", tmp_path / "out", export_format="onnx")


def test_the_command_takes_two_words(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["export", str(model), str(tmp_path / "out")]) == 0
    assert "try: python" in capsys.readouterr().out
    assert program.main(["export", str(model), str(tmp_path / "out")]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert program.main(["export", str(model)]) == 2
    assert "export_dir_base" in capsys.readouterr().err


@pytest.mark.parametrize("several", ["a,b", "runs/fold_*"])
def test_an_average_is_not_exported(several: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one model. An average is not exported"):
        exported(Path(several), tmp_path / "out")


def test_what_cannot_be_read_or_written_leaves_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="is no folder and no checkpoint"):
        exported(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UserError, match="TensorFlow loads no SavedModel from a path with"):
        exported(model, tmp_path / "a[b]")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="it is no folder|is no folder"):
        exported(model, tmp_path / "file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_companions", full)
    with pytest.raises(OSError, match="No space left"):
        exported(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_easytransfers_keys_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = {"checkpoint_path": "m/model.ckpt-3", "export_dir_base": "out", "input_tensors_schema": "input_ids:int:64"}
    (tmp_path / "config.json").write_text(json.dumps({"export_config": keys}), encoding="utf-8")
    settings = load_settings(ExportSettings, [f"--config={tmp_path / 'config.json'}"], "export")
    assert (settings.checkpoint_path, settings.export_dir_base) == ("m/model.ckpt-3", "out")
    assert "export_config.input_tensors_schema has no effect here" in caplog.text


def test_a_users_own_code_is_imported_only_if_trusted(model: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(model / "best", tmp_path / "copied"))
    value = json.loads((copied / "tasks.json").read_text(encoding="utf-8"))
    value["own_code"] = {"mine.py:Mine": {"setting": "model_class"}}
    (copied / "tasks.json").write_text(json.dumps(value), encoding="utf-8")
    allow_changes(copied, "tasks.json")
    with pytest.raises(UserError, match="--trust_own_code"):
        exported(copied, tmp_path / "out")
    assert not (tmp_path / "out").exists()
