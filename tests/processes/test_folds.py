"""run_folds.sh on the sample: folds, a model for each, out-of-fold scores and the submission of the average."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.tasks import CONTEST_TASKS

Run = Callable[..., subprocess.CompletedProcess[str]]
RunMany = Callable[[list[list[str]], Path], list[subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def finished_folds(
    script: Run, root: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """The script's output folder, and what it printed the first time and, without the second fold's model, the second."""
    folder = tmp_path_factory.mktemp("folds")
    for task in CONTEST_TASKS:
        for kind in ("train", "test"):
            path = folder / "data" / f"{task.name}_{kind}.csv"
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(root / f"data/sample/{path.name}", path)
    words = ["--encoder", encoder, "--random_init", "--folds", "2", "--output", folder / "out", "--num_epochs=0.1"]
    first = script("run_folds.sh", folder / "data", *words)
    assert first.returncode == 0, first.stderr
    shutil.copytree(folder / "out/submission", folder / "first")
    (folder / "out/fold_1/best/export.json").unlink()
    return folder, [first, script("run_folds.sh", folder / "data", *words)]


def test_the_script_goes_on_and_comes_to_the_same(
    finished_folds: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    folder, (first, again) = finished_folds
    assert again.returncode == 0, again.stderr
    assert "ready to submit (errors: 0" in first.stdout and "ready to submit (errors: 0" in again.stdout
    assert "trained before" not in first.stdout
    assert again.stdout.count("trained before") == 1 and f"trained before: {folder / 'out/fold_0'}" in again.stdout
    assert (folder / "first/result.zip").read_bytes() == (folder / "out/submission/result.zip").read_bytes()


def test_all_rows_are_in_the_folds_and_scored_once(
    finished_folds: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    folder, (first, _) = finished_folds
    models = json.loads((folder / "out/out_of_fold/models.json").read_text(encoding="utf-8"))["models"]
    assert [Path(item["model"]).parts[-2:] for item in models[:2]] == [("fold_0", "best"), ("fold_1", "best")]
    rows = {"TNEWS": 600, "OCEMOTION": 480, "OCNLI": 540}
    assert {score["task"]: score["rows"] for score in models[-1]["scores"]} == rows
    assert (folder / "out/out_of_fold/models.txt").read_text(encoding="utf-8") in first.stdout


def test_predictions_of_the_average_are_the_mean_of_the_separate_files(
    finished_folds: tuple[Path, list[subprocess.CompletedProcess[str]]], run_many: RunMany
) -> None:
    folder = finished_folds[0]
    models = [str(folder / f"out/fold_{fold}/best") for fold in range(2)]
    lines = [["predict", f"--checkpoints={names}", f"--data_dir={folder / 'data'}"] for names in (*models, ",".join(models))]
    for place, line in enumerate(lines):
        line.append(f"--predict_output_fp={folder / f'predicted_{place}'}")
    assert [done.returncode for done in run_many(lines, folder)] == [0, 0, 0]
    for task in CONTEST_TASKS:
        tables = []
        for place in range(3):
            path = folder / f"predicted_{place}/{task.name.lower()}_predictions.csv"
            with open(path, encoding="utf-8", newline="") as stream:
                tables.append(list(csv.reader(stream))[1:])
        values = [np.array([row[2:] for row in table], float) for table in tables]
        np.testing.assert_allclose(values[2], (values[0] + values[1]) / 2, atol=1.1e-6)
        assert [row[0] for row in tables[0]] == [row[0] for row in tables[2]]
        lines = (folder / f"out/submission/{task.submission_file}").read_text(encoding="utf-8").splitlines()
        assert [tuple(json.loads(line).values()) for line in lines] == [tuple(row[:2]) for row in tables[2]]
