"""A run that leaves one fold out: which rows it trains on and which it is evaluated on, then and later."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.commands import evaluate, split, train
from easytransfer_mtl.config.convert_settings import SplitSettings
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.folds import read_folds
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.runs.fold_data import FoldChoice, held_out_rows, read_fold_data
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.task_data import TaskData, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]


def split_into(output: Path, data_dir: Path, **settings: Any) -> Path:
    assert split.run(SplitSettings(data_dir=str(data_dir), output_dir=str(output), **settings)) == 0
    return output / "folds.json"


@pytest.fixture(scope="module")
def folds_file(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of the tiny train files."""
    return split_into(tmp_path_factory.mktemp("folds"), tiny_data, folds=3)


@pytest.fixture(scope="module")
def both_file(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of the tiny train and dev files."""
    return split_into(tmp_path_factory.mktemp("both"), tiny_data, folds=3, include_dev=True)


@pytest.fixture
def read(tiny_encoder: Path) -> Callable[[str], list[TaskData]]:
    """Reads TFRecords of the tiny encoder."""
    source = tiny_encoder / "vocab.txt"
    return lambda path: read_task_data(path, CONTEST_TASKS, load_vocabulary(source), source, 16)


def row_list(rows: EncodedRows) -> list[tuple[Any, ...]]:
    return [(rows.input_ids[a:b].tolist(), label) for a, b, label in zip(rows.offsets, rows.offsets[1:], rows.label_ids)]


def lists(folder: Path, *kinds: str) -> str:
    return ",".join(str(folder / f"{kind}.list_tfrecord") for kind in kinds)


@pytest.mark.parametrize("kinds", [("train",), ("train", "dev"), ("dev", "train")])
def test_every_row_is_on_its_folds_side_in_its_order(
    kinds: tuple[str, ...],
    folds_file: Path,
    both_file: Path,
    tiny_data: Path,
    read: Callable[[str], list[TaskData]],
) -> None:
    path = str(folds_file if kinds == ("train",) else both_file)
    folds = read_folds(path)
    held_out: dict[str, list[Any]] = {task.name: [] for task in CONTEST_TASKS}
    everything = {
        task.name: [row for kind in kinds for row in row_list(read(str(tiny_data / f"{task.name}_{kind}.tfrecord"))[0].rows)]
        for task in CONTEST_TASKS
    }
    for fold in range(3):
        sides = read_fold_data(FoldChoice(path, folds, fold), lists(tiny_data, *kinds), read)
        for kept, out in zip(*sides):
            name = kept.task.name
            assert out.task == kept.task and kept.padded_length == out.padded_length == 16
            numbers = folds.tasks[name].folds
            if kinds == ("dev", "train"):
                numbers = np.concatenate([numbers[12:], numbers[:12]])
            expected = [
                [row for row, number in zip(everything[name], numbers) if number != fold],
                [row for row, number in zip(everything[name], numbers) if number == fold],
            ]
            assert [row_list(kept.rows), row_list(out.rows)] == expected
            held_out[name] += expected[1]
    for name, rows in everything.items():
        assert sorted(map(str, held_out[name])) == sorted(map(str, rows))


@pytest.fixture(scope="module")
def finished(folds_file: Path, tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was trained without fold 1, and evaluated on it. Do not write into it."""
    settings = TrainSettings(
        pretrain_model_name_or_path=str(tiny_encoder),
        random_init=True,
        model_dir=str(tmp_path_factory.mktemp("finished") / "run"),
        train_input_fp=str(tiny_data / "train.list_tfrecord"),
        train_batch_size=4,
        num_epochs=0.3,
        folds_file=str(folds_file),
        fold=1,
    )
    assert train.run(settings) == 0
    return Path(settings.model_dir)


def test_a_run_is_evaluated_on_its_fold_then_and_later(finished: Path, folds_file: Path, tmp_path: Path) -> None:
    scores = {item["task"]: item for item in read_json(finished / "best/export.json")["scores"]}
    folds = read_folds(folds_file)
    for name, task in folds.tasks.items():
        assert scores[name]["rows"] == np.count_nonzero(task.folds == 1)
    written = read_json(finished / "train_config.json")
    assert written["data"]["fold"] == {"fold": 1, "num_folds": 3, "folds_sha256": folds.sha256}
    assert [item["rows"] for item in written["data"]["train"]] == [12 - scores[task.name]["rows"] for task in CONTEST_TASKS]
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    shutil.rmtree(run / "evaluation")
    assert evaluate.run(EvaluateSettings(model_dir=str(run))) == 0
    assert (run / "evaluation/summary.json").read_bytes() == (finished / "evaluation/summary.json").read_bytes()


def test_later_evaluation_of_other_folds_or_of_a_run_without_any(finished: Path, folds_file: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    own = Path(shutil.copytree(folds_file.parent, tmp_path / "own")) / "folds.json"
    written = read_json(run / "train_config.json")
    written["settings"]["folds_file"] = str(own)
    write_json(run / "train_config.json", written)
    table = own.with_name("TNEWS_folds.csv")
    table.write_text(table.read_text(encoding="utf-8").replace(",0\n", ",1\n", 1), encoding="utf-8")
    with pytest.raises(UserError, match="holds other folds than when .*run was trained"):
        evaluate.run(EvaluateSettings(model_dir=str(run)))
    shutil.rmtree(own.parent)
    with pytest.raises(UserError, match="folds.json does not exist"):
        evaluate.run(EvaluateSettings(model_dir=str(run)))
    del written["data"]["fold"]
    write_json(run / "train_config.json", written)
    with pytest.raises(UserError, match="evaluate needs --predict_input_fp"):
        evaluate.run(EvaluateSettings(model_dir=str(run)))


def test_a_run_goes_on_with_its_own_fold_only(
    tiny_settings: Settings, finished: Path, folds_file: Path, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    own = {"folds_file": str(folds_file), "fold": 1}
    other = split_into(tmp_path / "other", tiny_data, folds=3, seed=99)
    for changes, message in (
        ({**own, "fold": 2}, "leaves out fold 1 of 3; it cannot go on with fold 2 of 3"),
        ({**own, "folds_file": str(other)}, "it cannot go on with fold 1 of 3 of another split .*other"),
        ({}, "it cannot go on with no fold"),
    ):
        with pytest.raises(UserError, match=message):
            run_training(tiny_settings(**changes))
    moved = shutil.copytree(folds_file.parent, tmp_path / "moved") / "folds.json"
    assert prepare(tiny_settings(**own | {"folds_file": str(moved)})).fold


def test_a_run_without_fold_does_not_go_on_with_one(
    tiny_settings: Settings, finished: Path, folds_file: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    written = read_json(run / "train_config.json")
    del written["data"]["fold"]
    write_json(run / "train_config.json", written)
    with pytest.raises(UserError, match="leaves out no fold; it cannot go on with fold 0 of 3"):
        run_training(tiny_settings(folds_file=str(folds_file), fold=0))


def test_refused_settings(tiny_settings: Settings, folds_file: Path, tiny_data: Path) -> None:
    for changes, message in (
        ({"folds_file": str(folds_file)}, "belong together"),
        ({"fold": 0}, "belong together"),
        (
            {"folds_file": str(folds_file), "fold": 0, "predict_input_fp": str(tiny_data / "dev.list_tfrecord")},
            "no --predict",
        ),
        ({"folds_file": str(folds_file), "fold": -1}, "too small"),
    ):
        with pytest.raises(UserError, match=message):
            tiny_settings(**changes)


def test_data_that_does_not_fit_the_folds(
    tiny_settings: Settings,
    folds_file: Path,
    both_file: Path,
    tiny_data: Path,
    convert_rows: Callable[..., Path],
    tmp_path: Path,
) -> None:
    foreign = Path(shutil.copyfile(tiny_data / "TNEWS_train.tfrecord", tmp_path / "TNEWS_train.tfrecord"))
    other = convert_rows(tmp_path / "other.tfrecord", CONTEST_TASKS[0], 7)
    fewer = Path(shutil.copytree(folds_file.parent, tmp_path / "fewer")) / "folds.json"
    value = json.loads(fewer.read_text(encoding="utf-8"))
    value["tasks"]["TNEWS"]["sources"][0]["rows"] = 11
    del value["tasks"]["OCNLI"]
    fewer.write_text(json.dumps(value), encoding="utf-8")
    table = fewer.with_name("TNEWS_folds.csv")
    table.write_text("".join(table.read_text(encoding="utf-8").splitlines(keepends=True)[:12]), encoding="utf-8")
    plain = {"folds_file": str(folds_file), "fold": 0}
    for changes, message in (
        ({**plain, "fold": 3}, "has the folds 0 to 2"),
        ({**plain, "train_input_fp": str(foreign)}, "has no manifest"),
        ({**plain, "train_input_fp": str(other)}, "other.tfrecord was made from other.csv .*--dev_share=0"),
        ({**plain, "train_input_fp": lists(tiny_data, "train", "train")}, "Give the TFRecords of each once"),
        ({**plain, "folds_file": str(both_file)}, "TNEWS_train.csv .* and TNEWS_dev.csv .*Give the TFRecords of each once"),
        ({**plain, "folds_file": str(fewer)}, "has 12 rows, .* has 11 of TNEWS_train.csv"),
        (
            {**plain, "folds_file": str(fewer), "train_input_fp": str(tiny_data / "OCNLI_train.tfrecord")},
            "has no folds of OCNLI; it has TNEWS, OCEMOTION",
        ),
    ):
        with pytest.raises(UserError, match=message):
            prepare(tiny_settings(**changes))
    assert not manifest_path(foreign).exists() and not (tmp_path / "run").exists()


def test_files_of_a_task_that_were_normalized_differently(
    both_file: Path, tiny_data: Path, read: Callable[[str], list[TaskData]]
) -> None:
    def read_differently(path: str) -> list[TaskData]:
        data = read(path)
        if "dev" in path:
            changed = replace(data[0].file, manifest=replace(data[0].file.manifest, text_normalization="nfkc"))
            data[0] = replace(data[0], file=changed)
        return data

    choice = FoldChoice(str(both_file), read_folds(both_file), 0)
    with pytest.raises(UserError, match="TNEWS has files of text_normalization nfkc and none"):
        read_fold_data(choice, lists(tiny_data, "train", "dev"), read_differently)


def test_a_single_task_trains_on_its_own_rows_of_the_folds(
    tiny_settings: Settings, folds_file: Path, tiny_data: Path
) -> None:
    path = str(tiny_data / "OCNLI_train.tfrecord")
    prepared = prepare(tiny_settings(folds_file=str(folds_file), fold=2, train_input_fp=path))
    assert [task.name for task in prepared.tasks] == ["OCNLI"] == [item.task.name for item in prepared.dev]
    assert len(prepared.train[0].rows) + len(prepared.dev[0].rows) == 12


RIGHT = {"fold": 0, "num_folds": 3, "folds_sha256": "0" * 64}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "it has no data"), ({"data": 3}, "it has no data"), ({"data": {"fold": 3}}, "data.fold is 3"),
        ({"data": {"fold": {}}}, "data.fold is {}"), ({"data": {"fold": {"fold": 0}}}, "data.fold is {'fold': 0}"),
        ({"data": {"fold": {**RIGHT, "fold": "0"}}}, "data.fold is"), ({"data": {"fold": RIGHT}}, "folds_file is None"),
        ({"data": {"fold": RIGHT}, "settings": []}, "it has no settings"),
        ({"data": {"fold": RIGHT}, "settings": {"folds_file": "f"}}, "folds_file is 'f', train_input_fp None"),
        ({"data": {"fold": RIGHT}, "settings": {"folds_file": 1, "train_input_fp": "t"}}, "folds_file is 1"),
    ],
)  # fmt: skip
def test_a_damaged_train_config_is_named(value: Any, message: str, tmp_path: Path) -> None:
    write_json(tmp_path / "train_config.json", value)
    with pytest.raises(UserError) as error:
        held_out_rows(RunFolder(tmp_path), lambda path: pytest.fail("nothing is to be read"))
    assert f"{tmp_path / 'train_config.json'} is damaged ({message}" in str(error.value)
