"""run_folds.sh: which commands it gives and where it goes on, with a Python that only writes them down; then the same
commands on the sample, the trainings in one process, what follows in another."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.tasks import CONTEST_TASKS

Record = Callable[[str, str, Path, Path], Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def recorder(root: Path, record: Record, tmp_path: Path) -> Any:
    """Over the sample."""
    return record("run_folds.sh", "--fold=", tmp_path, root / "data/sample")


def test_all_folds_in_turn_and_then_their_average(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--encoder", encoder, "--folds", "3", "--num_epochs=2")
    assert done.returncode == 0, done.stderr
    trainings = ["train --fold=0", "train --fold=1", "train --fold=2"]
    assert recorder.names(commands) == ["split", "convert", *trainings, "evaluate", "submit"]
    models = ",".join(f"{recorder.output}/fold_{fold}/best" for fold in range(3))
    assert all(f"--checkpoints={models}" in words for words in commands[-2:])
    assert "--folds=3" in commands[0] and "--dev_share=0" in commands[1]
    assert all(
        "--num_epochs=2" in words and f"--folds_file={recorder.output}/split/folds.json" in words for words in commands[2:5]
    )


def test_it_goes_on_where_it_stopped(recorder: Any, encoder: Path) -> None:
    words = ("--encoder", encoder, "--folds", "3")
    done, commands = recorder.run(*words, fails="--fold=1")
    assert (done.returncode, recorder.names(commands)[-2:]) == (3, ["train --fold=0", "train --fold=1"])
    done, commands = recorder.run(*words)
    assert recorder.names(commands) == ["split", "convert", "train --fold=1", "train --fold=2", "evaluate", "submit"]
    assert f"trained before: {recorder.output}/fold_0" in done.stdout


@pytest.mark.parametrize("include", [False, True])
def test_dev_files_score_the_average_or_are_in_the_folds(recorder: Any, encoder: Path, include: bool) -> None:
    dev = recorder.output / "data/dev.list_tfrecord"
    dev.parent.mkdir(parents=True)
    dev.touch()
    done, commands = recorder.run("--encoder", encoder, "--folds", "2", *(["--include_dev"] if include else []))
    assert done.returncode == 0, done.stderr
    train = f"--train_input_fp={recorder.output}/data/train.list_tfrecord" + (f",{dev}" if include else "")
    assert train in commands[2] and ("--include_dev" in commands[0]) == include
    scored = [words for words in commands if f"--predict_input_fp={dev}" in words]
    assert recorder.names(scored) == ([] if include else ["evaluate"])


def test_a_vocabulary_alone_gives_the_small_encoder(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--vocab", encoder / "vocab.txt")
    assert done.returncode == 0, done.stderr
    assert recorder.names(commands)[2:7] == [f"train --fold={fold}" for fold in range(5)]
    assert f"--pretrain_model_name_or_path={recorder.output}/encoder" in commands[2]
    assert (recorder.output / "encoder/vocab.txt").read_bytes() == (encoder / "vocab.txt").read_bytes()


@pytest.fixture(scope="module")
def folds(
    root: Path, encoder: Path, record: Record, new_session: Callable[[], Run], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with ``out``, what the script's commands make of the sample's train and test files, and predictions.

    ``predicted_0`` and ``predicted_1`` are the two folds' own, ``predicted_2`` the average's.
    """
    folder = tmp_path_factory.mktemp("folds")
    data = folder / "data"
    data.mkdir()
    for task in CONTEST_TASKS:
        for kind in ("train", "test"):
            shutil.copyfile(root / f"data/sample/{task.name}_{kind}.csv", data / f"{task.name}_{kind}.csv")
    more = ("--folds", "2", "--random_init", "--num_epochs=0.5", "--learning_rate=3e-3", "--length_buckets=2")
    _, commands = record("run_folds.sh", "--fold=", folder, data).run("--encoder", encoder, *more)
    shutil.rmtree(folder / "out")
    models = [f"{folder}/out/fold_{fold}/best" for fold in range(2)]
    commands += [
        ["predict", f"--checkpoints={names}", f"--data_dir={data}", f"--predict_output_fp={folder}/predicted_{place}"]
        for place, names in enumerate((*models, ",".join(models)))
    ]
    run, names = new_session(), [words[0] for words in commands]
    for place, words in enumerate(commands):
        if place == names.index("evaluate"):
            run = new_session()  # what follows gets everything from the folders
        done = run(*words, cwd=root)
        assert done.returncode == 0, done.stderr
    return folder


def test_all_rows_are_in_the_folds_and_scored_once(folds: Path) -> None:
    models = json.loads((folds / "out/out_of_fold/models.json").read_text(encoding="utf-8"))["models"]
    assert [Path(item["model"]).parts[-2:] for item in models[:2]] == [("fold_0", "best"), ("fold_1", "best")]
    assert {score["task"]: score["rows"] for score in models[-1]["scores"]} == {"TNEWS": 600, "OCEMOTION": 480, "OCNLI": 540}
    for fold, model in enumerate(models[:2]):
        about = json.loads((folds / f"out/fold_{fold}/best/export.json").read_text(encoding="utf-8"))
        assert about["scores"] == model["scores"]


def test_predictions_of_the_average_are_the_mean_of_the_separate_files(folds: Path) -> None:
    for task in CONTEST_TASKS:
        tables = []
        for place in range(3):
            path = folds / f"predicted_{place}/{task.name.lower()}_predictions.csv"
            with open(path, encoding="utf-8", newline="") as stream:
                tables.append(list(csv.reader(stream))[1:])
        values = [np.array([row[2:-1] for row in table], float) for table in tables]
        np.testing.assert_allclose(values[2], (values[0] + values[1]) / 2, atol=1.1e-6)
        assert np.abs(values[0] - values[1]).max() > 1e-3
        assert [row[0] for row in tables[0]] == [row[0] for row in tables[2]]
        lines = (folds / f"out/submission/{task.submission_file}").read_text(encoding="utf-8").splitlines()
        assert [tuple(json.loads(line).values()) for line in lines] == [tuple(row[:2]) for row in tables[2]]
    assert (folds / "out/submission/result.zip").exists()
