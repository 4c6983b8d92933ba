"""What lies behind an unchanged path is part of a run: it does not go on with other rows, another encoder, other files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.commands.train import run as train
from easytransfer_mtl.data.conversion import Conversion, convert_file
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.tasks import CONTEST_TASKS, task_named
from easytransfer_mtl.training.trainer import run_training

pytestmark = pytest.mark.usefixtures("untraced")
Settings = Callable[..., Any]
TNEWS = task_named("TNEWS", CONTEST_TASKS)


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny data, to be changed."""
    return shutil.copytree(tiny_data, tmp_path / "data")


@pytest.fixture
def settings(tiny_settings: Settings, data: Path) -> Settings:
    """Settings of a short run on it."""
    return lambda **changes: tiny_settings(
        **{"num_epochs": 0.2, "train_input_fp": str(data / "train.list_tfrecord"), **changes}
    )


@pytest.fixture
def run(trained: Callable[..., Path], tiny_settings: Settings) -> Path:
    """Such a run, finished, on the tiny data where they lie."""
    return trained(tiny_settings(num_epochs=0.2))


def converted(data: Path, vocabulary: Path, change: Callable[[list[str]], list[str]], length: int = 16) -> None:
    """Converts the TNEWS training rows anew after a change of their lines."""
    source = data / "TNEWS_train.csv"
    source.write_text("".join(change(source.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")
    tokenizer = Tokenizer(load_vocabulary(vocabulary))
    convert_file(Conversion(source, data / "TNEWS_train.tfrecord", TNEWS), FeatureBuilder(tokenizer, length), "error")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def other_label(lines: list[str]) -> list[str]:
    first, *rest = lines
    return [first.replace(TNEWS.label_enumerate_values[0], TNEWS.label_enumerate_values[1]), *rest]


CHANGES = {
    "fewer rows": (lambda lines: lines[:-2], 16),
    "another text": (lambda lines: ["0\t天天天\t" + lines[0].split("\t")[2], *lines[1:]], 16),
    "another label": (other_label, 16),
    "another order": (lambda lines: lines[::-1], 16),
    "another length": (lambda lines: lines, 12),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("more", [0.2, 0.6])
def test_data_converted_anew_is_refused_and_nothing_changes(
    name: str, more: float, run: Path, settings: Settings, data: Path, tiny_encoder: Path
) -> None:
    converted(data, tiny_encoder / "vocab.txt", *CHANGES[name])
    before = contents(run)
    with pytest.raises(UserError, match="is a run on other data than this: TNEWS .*another --model_dir"):
        run_training(settings(num_epochs=more))
    assert contents(run) == before


def test_the_same_rows_go_on_wherever_they_lie(
    run: Path, settings: Settings, data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    data.rename(tmp_path / "moved")
    converted(tmp_path / "moved", tiny_encoder / "vocab.txt", lambda lines: lines)
    run_training(settings(num_epochs=0.6, train_input_fp=str(tmp_path / "moved" / "train.list_tfrecord")))
    assert max(checkpoint_steps(run)) > 2


def test_rows_without_manifest_are_compared_too(settings: Settings, data: Path, tiny_encoder: Path) -> None:
    for path in data.glob("*.manifest.json"):
        path.unlink()
    run_training(settings())
    converted(data, tiny_encoder / "vocab.txt", CHANGES["another order"][0])
    manifest_path(data / "TNEWS_train.tfrecord").unlink()
    with pytest.raises(UserError, match="TNEWS .*: other rows, labels, or another order of them"):
        run_training(settings(num_epochs=0.6))


def test_the_order_of_the_tasks_is_part_of_a_run(run: Path, settings: Settings, data: Path) -> None:
    path = data / "train.list_tfrecord"
    path.write_text("".join(reversed(path.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")
    with pytest.raises(UserError, match="holds a run of the tasks"):
        run_training(settings(num_epochs=0.6))


def older(folder: Path, *names: str) -> None:
    """Takes out of train_config.json what an earlier version did not note."""
    value = read_json(folder / "train_config.json")
    value["data"] = {"train": value["data"]["train"]}
    for item in value["data"]["train"]:
        for name in names:
            item.pop(name)
    write_json(folder / "train_config.json", value)


@pytest.mark.parametrize("names", [["rows_sha256"], ["rows_sha256", "source_sha256"]])
def test_a_run_of_an_earlier_version_goes_on(names: list[str], run: Path, settings: Settings) -> None:
    older(run, *names)
    run_training(settings(num_epochs=0.6))
    assert max(checkpoint_steps(run)) > 2


def test_a_run_of_an_earlier_version_is_known_by_the_hash_of_its_source(
    run: Path, settings: Settings, data: Path, tiny_encoder: Path
) -> None:
    older(run, "rows_sha256")
    converted(data, tiny_encoder / "vocab.txt", CHANGES["another order"][0])
    with pytest.raises(UserError, match="TNEWS .*: other rows, labels, or another order of them"):
        run_training(settings(num_epochs=0.6))


def test_other_dev_rows_are_scored_anew_but_do_not_stop_a_run_early(
    settings: Settings, data: Path, convert_rows: Callable[..., Path], tmp_path: Path
) -> None:
    dev = {"predict_input_fp": str(data / "dev.list_tfrecord")}
    train(settings(**dev))
    convert_rows(data / "TNEWS_dev.tfrecord", TNEWS, 9)
    train(settings(**dev))
    found = read_json(tmp_path / "run/evaluation/best/classes.json")["tasks"]
    assert {item["task"]: item["rows"] for item in found}["TNEWS"] == 9
    stopping = {**dev, "early_stopping_patience": 1, "save_steps": 1, "model_dir": str(tmp_path / "stopped")}
    train(settings(**stopping))
    convert_rows(data / "TNEWS_dev.tfrecord", TNEWS, 8)
    before = contents(tmp_path / "stopped")
    with pytest.raises(UserError, match="watches its scores on other dev rows"):
        train(settings(**stopping))
    assert contents(tmp_path / "stopped") == before


def test_a_file_of_indicators_with_another_content_is_refused(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "kpi.json"
    write_json(path, {"tnews": 0.5, "ocemotion": 0.4, "ocnli": 0.6})
    changes = {"loss_weighting": "dtp", "dtp_kpi_file": str(path)}
    run_training(settings(**changes))
    run_training(settings(**changes))
    write_json(path, {"tnews": 0.5, "ocemotion": 0.4, "ocnli": 0.7})
    with pytest.raises(UserError, match="dtp_kpi_file .*kpi.json has another content"):
        run_training(settings(**changes, num_epochs=0.6))


@pytest.mark.parametrize("change", [{"num_attention_heads": 4}, {"hidden_act": "relu"}, {"layer_norm_eps": 0.1}])
def test_an_encoder_with_another_config_of_the_same_shapes_is_refused(
    change: dict[str, Any], run: Path, settings: Settings, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    changes = {"pretrain_model_name_or_path": str(encoder)}
    write_json(encoder / "config.json", read_json(encoder / "config.json") | change)
    with pytest.raises(UserError, match=f"an encoder with another config .*{next(iter(change))}: "):
        run_training(settings(**changes, num_epochs=0.6))


def test_a_run_that_had_only_begun_starts_from_the_encoder_as_it_is_now(
    settings: Settings, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    files = find_encoder(str(encoder), needs_weights=False)
    save_encoder(load_encoder(files, DropoutClock(1), random_init=True).encoder, files.vocabulary, encoder)
    changes = {"pretrain_model_name_or_path": str(encoder), "random_init": False}
    run_training(settings(**changes))
    begun = tmp_path / "begun"
    begun.mkdir()
    for path in (tmp_path / "run").glob("model.ckpt-0.*"):
        shutil.copyfile(path, begun / path.name)
    for name in ("config.json", "vocab.txt", "tasks.json", "train_config.json"):
        shutil.copyfile(tmp_path / "run" / name, begun / name)
    weights = {name: array + np.float32(0.5) for name, array in load_file(encoder / "model.safetensors").items()}
    save_file(weights, encoder / "model.safetensors", metadata={"format": "tf"})
    gone_on = run_training(settings(**changes, model_dir=str(begun)))
    fresh = run_training(settings(**changes, model_dir=str(tmp_path / "fresh")))
    for one, other in zip(gone_on.model.variables, fresh.model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("part", ["train", "files_sha256"])
def test_a_damaged_train_config_is_named(part: str, run: Path, settings: Settings) -> None:
    path = run / "train_config.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["data"][part] = "nonsense"
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match="train_config.json is damaged"):
        run_training(settings())
