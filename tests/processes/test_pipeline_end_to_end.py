"""From CSV to result.zip on the sample: each command's output, its files, its exit code."""

import csv
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.tasks import CONTEST_TASKS

Run = Callable[..., subprocess.CompletedProcess[str]]
Finished = tuple[Path, subprocess.CompletedProcess[str]]
CHECKPOINTS = [0, 20, 40]
DEV_ROWS = {"TNEWS": 120, "OCEMOTION": 97, "OCNLI": 111}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands write."""
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def model(finished: Finished, folder: Path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(finished[0], folder / "model")


@pytest.fixture(scope="module")
def sample(root: Path) -> Path:
    """The sample's CSV files."""
    return root / "data/sample"


@pytest.fixture(scope="module")
def results(
    model: Path, folder: Path, sample: Path, data: Path, run: Run, run_here: Run
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Evaluations, predictions and a submission of board b, by name; the first evaluation in a process of its own."""
    board = folder / "boards"
    board.mkdir()
    for task in CONTEST_TASKS:
        shutil.copyfile(sample / f"{task.name}_test.csv", board / f"{task.name}_b.csv")
        lines = (sample / f"{task.name}_test.csv").read_bytes().splitlines(keepends=True)
        (board / f"{task.name}_a.csv").write_bytes(b"".join(lines[:7]))
    evaluate = ["evaluate", f"--model_dir={model}", f"--predict_input_fp={data / 'dev.list_tfrecord'}"]
    best = f"--predict_checkpoint_path={model / 'best'}"
    submit = ["submit", best, f"--data_dir={board}"]
    lines = {
        "evaluate": evaluate,
        "legacy": [*evaluate, "--legacy_score", "--predict_batch_size=9"],
        "one checkpoint": [*evaluate, f"--eval_checkpoint_path={model / 'model.ckpt-20'}", "--swa_checkpoints=2"],
        "predict": ["predict", best, f"--data_dir={sample}", f"--predict_output_fp={folder / 'predictions'}"],
        "board a": [*submit, "--board=a", f"--predict_output_fp={folder / 'board_a'}"],
        "board auto": [*submit, f"--predict_output_fp={folder / 'board_auto'}"],
        "board test": [*submit, "--board=test", f"--predict_output_fp={folder / 'board_test'}"],
    }
    return {name: (run if name == "evaluate" else run_here)(*words, cwd=folder) for name, words in lines.items()}


@pytest.fixture(scope="module")
def submission(run_here: Run, model: Path, folder: Path, sample: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The sample's submission and the process that wrote it."""
    output = folder / "submission"
    best = f"--predict_checkpoint_path={model / 'best'}"
    return output, run_here("submit", best, f"--data_dir={sample}", f"--predict_output_fp={output}")


def ids_of(path: Path) -> list[str]:
    """Returns a test file's ids."""
    return [line.split(b"\t")[0].decode() for line in path.read_bytes().split(b"\n") if line]


def table(path: Path) -> list[list[str]]:
    """Returns a CSV file's rows."""
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_conversion_writes_files_manifests_and_lists(data: Path) -> None:
    for kind in ("train", "dev"):
        names = [f"{task.name}_{kind}.tfrecord" for task in CONTEST_TASKS]
        assert (data / f"{kind}.list_tfrecord").read_text(encoding="utf-8").split() == names
        assert all((data / name).exists() and (data / f"{name}.manifest.json").exists() for name in names)


def test_training_evaluates_every_checkpoint_and_exports_the_best(finished: Finished) -> None:
    folder, done = finished
    assert done.returncode == 0, done.stderr
    steps = [int(row[0]) for row in table(folder / "evaluation/summary.csv")[1:]]
    assert steps == CHECKPOINTS
    best = int(re.search(r"^best checkpoint: (\d+)$", done.stdout, re.M).group(1))
    about = json.loads((folder / "best/export.json").read_text(encoding="utf-8"))
    assert about["step"] == best
    assert {score["task"]: score["rows"] for score in about["scores"]} == DEV_ROWS
    assert re.search(rf"^mean .* {about['mean_score']:.4f} ", done.stdout, re.M)


def test_evaluation_alone_finds_the_same_scores(
    finished: Finished, model: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    assert results["evaluate"].returncode == 0, results["evaluate"].stderr
    for name in ("evaluation/summary.csv", "evaluation/summary.json", "best/heads.safetensors", "best/model.safetensors"):
        assert (model / name).read_bytes() == (finished[0] / name).read_bytes()


def test_legacy_score_prints_the_originals_line(results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert results["legacy"].returncode == 0, results["legacy"].stderr
    line = r"^the original would have printed: best ckpt (\d+), best best_macro_f1 (0\.\d+)$"
    found = re.search(line, results["legacy"].stdout, re.M)
    assert found and int(found.group(1)) in CHECKPOINTS
    assert "scored as another task's" in results["legacy"].stdout
    assert "the original" not in results["evaluate"].stdout


def test_one_checkpoint_alone_is_scored_as_among_all(
    finished: Finished, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = results["one checkpoint"]
    assert done.returncode == 0, done.stderr
    mean = json.loads((finished[0] / "evaluation/summary.json").read_text(encoding="utf-8"))
    wanted = next(item for item in mean["checkpoints"] if item["step"] == 20)["mean"]
    assert re.search(rf"^mean .* {wanted:.4f} ", done.stdout, re.M)
    assert "best model" not in done.stdout
    assert "swa_checkpoints has no effect: only the checkpoints that are named are scored." in done.stderr


def test_predictions_have_the_files_ids_and_the_labels_are_the_argmax(
    folder: Path, sample: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    assert results["predict"].returncode == 0, results["predict"].stderr
    for task in CONTEST_TASKS:
        header, *rows = table(folder / f"predictions/{task.name.lower()}_predictions.csv")
        assert header == ["id", "label", *(f"probability_{label}" for label in task.label_enumerate_values), "label_name"]
        assert [row[-1] for row in rows] == [task.label_names[row[1]] for row in rows]
        assert [row[0] for row in rows] == ids_of(sample / f"{task.name}_test.csv")
        values = np.array([row[2:-1] for row in rows], float)
        np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-5)
        chosen = np.array([task.label_enumerate_values.index(row[1]) for row in rows])
        np.testing.assert_allclose(values[np.arange(len(rows)), chosen], values.max(axis=1), atol=1e-6)


def test_best_alone_elsewhere_predicts_the_same(
    run: Run, model: Path, folder: Path, sample: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    moved, hidden = folder / "elsewhere/m", folder / "hidden"
    shutil.copytree(model / "best", moved)
    model.rename(hidden)
    try:
        flags = [f"--predict_checkpoint_path={moved}", f"--data_dir={sample}", "--predict_output_fp=out"]
        done = run("predict", *flags, cwd=folder)
    finally:
        hidden.rename(model)
    assert done.returncode == 0, done.stderr
    for path in (folder / "predictions").iterdir():
        assert (folder / "out" / path.name).read_bytes() == path.read_bytes()


def test_submission_has_ids_order_and_strings_of_the_test_files(
    submission: tuple[Path, subprocess.CompletedProcess[str]], sample: Path
) -> None:
    output, done = submission
    assert done.returncode == 0, done.stderr
    assert "ready to submit (errors: 0" in done.stdout
    with zipfile.ZipFile(output / "result.zip") as archive:
        assert sorted(archive.namelist()) == ["ocemotion_predict.json", "ocnli_predict.json", "tnews_predict.json"]
        for task in CONTEST_TASKS:
            content = archive.read(task.submission_file)
            assert content == (output / task.submission_file).read_bytes()
            rows = [json.loads(line) for line in content.decode("ascii").splitlines()]
            assert [row["id"] for row in rows] == ids_of(sample / f"{task.name}_test.csv")
            assert all(set(row) == {"id", "label"} and row["label"] in task.label_enumerate_values for row in rows)
    assert json.loads((output / "ocnli_predict.json").read_text().splitlines()[0])["id"] == "1500"


def test_submission_and_predictions_agree(
    submission: tuple[Path, subprocess.CompletedProcess[str]],
    folder: Path,
    results: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    for task in CONTEST_TASKS:
        lines = (submission[0] / task.submission_file).read_text().splitlines()
        predicted = table(folder / f"predictions/{task.name.lower()}_predictions.csv")[1:]
        assert [tuple(json.loads(line).values()) for line in lines] == [tuple(row[:2]) for row in predicted]


def test_board_chooses_the_test_files(folder: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    rows = {"board_a": 7, "board_auto": 60}
    for board, count in rows.items():
        assert results[board.replace("_", " ")].returncode == 0
        assert len((folder / board / "tnews_predict.json").read_text().splitlines()) == count
    assert results["board test"].returncode == 2
    assert "test file" in results["board test"].stderr
    assert not (folder / "board_test").exists()


def test_check_submission_needs_no_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys; from easytransfer_mtl.__main__ import main; "
        "assert main(['check_submission', '--submission=.']) == 1; sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_check_submission_accepts_the_archive_and_names_what_is_damaged(
    run_here: Run, submission: tuple[Path, subprocess.CompletedProcess[str]], folder: Path, sample: Path
) -> None:
    output, _ = submission
    good = run_here("check_submission", f"--submission={output / 'result.zip'}", f"--data_dir={sample}")
    assert (good.returncode, "ready to submit" in good.stdout) == (0, True), good.stderr
    damaged = folder / "damaged" / "result.zip"
    damaged.parent.mkdir()
    with zipfile.ZipFile(damaged, "w") as archive:
        for name in ("tnews_predict.json", "ocnli_predict.json"):
            content = (output / name).read_bytes()
            archive.writestr(name, content.replace(b'"1500"', b'"0"') if "ocnli" in name else content)
    bad = run_here("check_submission", f"--submission={damaged}", f"--data_dir={sample}")
    assert bad.returncode == 1
    assert "not ready to submit" in bad.stdout
    assert "ocemotion_predict.json: is missing" in bad.stdout
    assert "starts at 1500" in bad.stdout
    (folder / "damaged/cut").mkdir()
    (folder / "damaged/cut/result.zip").write_bytes((output / "result.zip").read_bytes()[:-30])
    cut = run_here("check_submission", f"--submission={folder / 'damaged/cut/result.zip'}")
    assert (cut.returncode, "cannot be read as a zip archive" in cut.stdout) == (1, True)
