"""EasyTransfer's own JSON files, folder layout, list files and TFRecords go through the scripts unchanged."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from easytransfer_mtl.data.tfrecords import read_tfrecords
from easytransfer_mtl.tasks import CONTEST_TASKS

Script = Callable[..., subprocess.CompletedProcess[str]]
Trained = dict[str, subprocess.CompletedProcess[str]]
VOCABULARY_SIZE = 570


@pytest.fixture(scope="module")
def golden(root: Path) -> Path:
    """Data of the original's runs."""
    return root / "tests/golden"


@pytest.fixture(scope="module")
def model_zoo(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as EasyTransfer's model zoo."""
    zoo = tmp_path_factory.mktemp("zoo")
    shutil.copytree(golden / "checkpoint/pai-bert-tiny-zh", zoo / "bert/pai-bert-tiny-zh")
    return zoo


@pytest.fixture(scope="module")
def contest(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with EasyTransfer's layout: tianchi_datasets/<TASK>/{train,dev}.csv."""
    folder = tmp_path_factory.mktemp("contest")
    for task in CONTEST_TASKS:
        for part in ("train", "dev"):
            target = folder / f"tianchi_datasets/{task.name}/{part}.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(golden / f"preprocess/{task.name}_{part}.csv", target)
    return folder


@pytest.fixture(scope="module")
def before(contest: Path) -> dict[str, str]:
    """The folder's files before the scripts."""
    return hashes(contest)


@pytest.fixture(scope="module")
def originals(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TFRecords that the original wrote, without manifests, and its list files."""
    folder = tmp_path_factory.mktemp("originals")
    for part in ("train", "dev"):
        for task in CONTEST_TASKS:
            target = folder / f"tianchi_datasets/{task.name}/{part}.tfrecord"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(golden / f"preprocess/{task.name}_{part}.tfrecord", target)
        lines = [f"tianchi_datasets/{task.name}/{part}.tfrecord\n" for task in CONTEST_TASKS]
        (folder / f"{part}.list_tfrecord").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(
    script: Script, contest: Path, before: dict[str, str], originals: Path, model_zoo: Path, golden: Path
) -> Trained:
    """What the conversion script did, and the training script with its TFRecords and with the original's."""
    tokenizer, zoo = f"--tokenizer_name_or_path={golden / 'checkpoint/pai-bert-tiny-zh'}", f"--modelZooBasePath={model_zoo}"
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(script, "run_multitask_finetune.sh", zoo, cwd=originals)
        converted = script("run_convert_csv_to_tfrecords.sh", contest, tokenizer)
        ours = script("run_multitask_finetune.sh", contest, zoo)
    return {"converted": converted, "ours": ours, "theirs": theirs.result()}


def hashes(folder: Path) -> dict[str, str]:
    """Returns file -> hash of every file of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def metrics(folder: Path) -> list[list[str]]:
    """Returns metrics.csv without the column that tells the speed."""
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        return [row[:-1] for row in csv.reader(stream)]


def test_conversion_script_writes_the_tfrecords_of_the_original(trained: Trained, contest: Path, originals: Path) -> None:
    assert trained["converted"].returncode == 0, trained["converted"].stderr
    for task in CONTEST_TASKS:
        for part in ("train", "dev"):
            name = f"tianchi_datasets/{task.name}/{part}.tfrecord"
            files = (contest / name, originals / name)
            ours, theirs = (read_tfrecords(path, task.num_labels, VOCABULARY_SIZE) for path in files)
            assert ours.input_ids.tolist() == theirs.input_ids.tolist()
            assert ours.segment_ids.tolist() == theirs.segment_ids.tolist()
            assert ours.label_ids.tolist() == theirs.label_ids.tolist()


def test_conversion_script_writes_the_list_files_of_the_original(trained: Trained, contest: Path) -> None:
    for part in ("train", "dev"):
        lines = (contest / f"{part}.list_tfrecord").read_bytes().decode().split("\n")
        assert lines == [f"tianchi_datasets/{task}/{part}.tfrecord" for task in ("TNEWS", "OCEMOTION", "OCNLI")] + [""]


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_steps_are_those_of_the_original(trained: Trained, whose: str) -> None:
    done = trained[whose]
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    for line in (
        "num train examples per epoch: 180",
        "train batch size: 2",
        "num epochs: 0.01",
        "train steps: 1",
        "save steps: 90",
        "warmup steps: 0",
        "learning rate: 1e-05",
        "clip norm value: 1.0",
        "keep checkpoint max: 10",
    ):
        assert line in lines
    assert "best checkpoint: " in done.stdout


def test_training_starts_from_the_model_zoos_weights(trained: Trained) -> None:
    lines = [line for line in trained["ours"].stderr.splitlines() if line.startswith("Load weights from")]
    assert len(lines) == 1 and lines[0].endswith("bert/pai-bert-tiny-zh")


def test_the_originals_tfrecords_without_manifest_train_to_the_same_numbers(
    trained: Trained, contest: Path, originals: Path
) -> None:
    ours = metrics(contest / "model_dir")
    assert [row[:2] for row in ours] == [["step", "task"], ["1", "TNEWS"]]
    assert metrics(originals / "model_dir") == ours
    assert "has no manifest: taken as TNEWS" in trained["theirs"].stderr


def test_checkpoints_are_those_of_the_original(trained: Trained, contest: Path) -> None:
    names = {path.name for path in (contest / "model_dir").glob("model.ckpt-*.index")}
    assert names == {"model.ckpt-0.index", "model.ckpt-1.index"}


def test_nothing_of_the_users_is_deleted_or_changed(trained: Trained, contest: Path, before: dict[str, str]) -> None:
    assert len(before) == 6
    after = hashes(contest)
    assert {name: after.get(name) for name in before} == before


def test_json_files_have_the_values_of_the_original(root: Path) -> None:
    folder = root / "run_scripts/config"
    finetune = json.loads((folder / "multitask_finetune.json").read_text(encoding="utf-8"))
    assert finetune["train_config"]["train_input_fp"] == "train.list_tfrecord"
    assert finetune["train_config"]["num_epochs"] == 0.01
    assert finetune["predict_config"] == {"predict_input_fp": "dev.list_tfrecord", "predict_batch_size": 4}
    for task in CONTEST_TASKS:
        for part in ("train", "dev"):
            text = (folder / f"{task.name}_preprocess_{part}.json").read_text(encoding="utf-8")
            config = json.loads(text)["preprocess_config"]
            assert config["preprocess_input_fp"] == f"tianchi_datasets/{task.name}/{part}.csv"
            assert config["label_enumerate_values"] == ",".join(task.label_enumerate_values)
            assert config["tokenizer_name_or_path"] == "google-bert-base-zh"
            assert (config["sequence_length"], config["preprocess_batch_size"]) == (128, 16)


def test_a_first_word_that_is_no_folder_is_named(script: Script, tmp_path: Path) -> None:
    for name in ("run_convert_csv_to_tfrecords.sh", "run_multitask_finetune.sh"):
        done = script(name, tmp_path / "nowhere")
        assert done.returncode != 0
        assert "nowhere" in done.stderr
    assert os.listdir(tmp_path) == []
