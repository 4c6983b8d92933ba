"""A full disk, files that vanish, a log that is damaged: one sentence, whole files, and the same command goes on."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
Finished = tuple[Path, subprocess.CompletedProcess[str]]

PROGRAM = """
import os, resource, sys
from easytransfer_mtl.__main__ import main
{before}
sys.exit(main(sys.argv[1:]))
"""
LIMIT = """
import atexit, subprocess
writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=2)  # the log is a file too, which has no limit this way
os.dup2(writer.stdin.fileno(), 2)
writer.stdin.close()
atexit.register(lambda: (sys.stderr.flush(), os.dup2(os.open(os.devnull, os.O_WRONLY), 2), writer.wait()))
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, resource.RLIM_INFINITY))
"""
"""A disk that is full as soon as a file is larger."""
PREDICTIONS = ["ocemotion_predictions.csv", "ocnli_predictions.csv", "tnews_predictions.csv"]
SUBMISSION = ["ocemotion_predict.json", "ocnli_predict.json", "result.zip", "tnews_predict.json"]


def disturbed(folder: Path, before: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs the program after some lines of Python that disturb its process."""
    script = folder / "script.py"
    script.write_text(PROGRAM.format(before=before), encoding="utf-8")
    return WarmProcess(words, folder, script=script).finish()


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the one sentence of a command that the machine stopped."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0]


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.exists() else []
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def train(words: list[str], *more: str) -> list[str]:
    return [*words, "--model_dir=run", "--num_epochs=0.02", "--save_steps=2", *more]


def test_a_reader_that_leaves_early_and_closed_streams_lose_no_prediction(
    tmp_path: Path, root: Path, finished: Finished
) -> None:
    model, data = f"--predict_checkpoint_path={finished[0]}", f"--data_dir={root / 'data/sample'}"
    pipe = "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1); os.dup2(writer, 2)"
    predictions, submissions = [], []
    for number, before in enumerate(["", pipe, "os.close(1); os.close(2)", "os.dup2(os.open('/dev/full', 1), 2)"]):
        words = [model, data, f"--predict_output_fp=out{number}"]
        before += "\nstatus = main(['predict', *sys.argv[2:-1], sys.argv[-1] + '/rows']); assert status == 0, status"
        done = disturbed(tmp_path, before, ["submit", *words])
        assert done.returncode == 0, done.stderr
        predictions.append(files(tmp_path / f"out{number}/rows"))
        submissions.append(files(tmp_path / f"out{number}"))
    assert sorted(predictions[0]) == PREDICTIONS and all(other == predictions[0] for other in predictions)
    names = sorted([*SUBMISSION, *(f"rows/{name}" for name in PREDICTIONS)])
    assert sorted(submissions[0]) == names and all(other == submissions[0] for other in submissions)


@pytest.mark.parametrize(
    "before", ["os.close(1); os.close(2)", "r, w = os.pipe(); os.close(r); os.dup2(w, 1); os.dup2(w, 2)"]
)
def test_training_goes_to_its_end_without_its_streams(tmp_path: Path, train_words: list[str], before: str) -> None:
    assert disturbed(tmp_path, before, train(train_words)).returncode == 0
    log = (tmp_path / "run/metrics.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "1", "2", "3", "4", "5"]


@pytest.fixture(scope="module")
def undisturbed(run_here: Run, train_words: list[str], data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a training in the folder ``other``, which nothing stops, prints."""
    words = train(train_words, f"--predict_input_fp={data / 'dev.list_tfrecord'}", "--model_dir=other")
    return run_here(*words, cwd=tmp_path_factory.mktemp("undisturbed")).stdout


@pytest.mark.parametrize("limit", [0, 2000, 20_000], ids=["at once", "in a small file", "in a checkpoint"])
def test_a_training_that_the_disk_stopped_goes_on_when_there_is_room(
    tmp_path: Path, run_here: Run, undisturbed: str, train_words: list[str], data: Path, limit: int
) -> None:
    words = train(train_words, f"--predict_input_fp={data / 'dev.list_tfrecord'}")
    message = error_of(disturbed(tmp_path, LIMIT.format(bytes=limit), words))
    assert "run/" in message and ": File too large." in message
    assert "_temp" not in message and ".tmp" not in message
    assert not [name for name in files(tmp_path / "run") if name.endswith(".tmp")]
    done = run_here(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/best/export.json").is_file()
    assert undisturbed.replace("other", "run") == done.stdout


@pytest.mark.parametrize("command", ["convert", "predict", "submit", "plot"])
def test_other_commands_on_a_full_disk_keep_what_was_there(
    tmp_path: Path, run_here: Run, root: Path, encoder: Path, finished: Finished, command: str
) -> None:
    if command == "plot":
        pytest.importorskip("matplotlib")
    sample = f"--data_dir={root / 'data/sample'}"
    words = {
        "convert": [sample, "--output_dir=out", f"--tokenizer_name_or_path={encoder}"],
        "predict": [sample, "--predict_output_fp=out", f"--predict_checkpoint_path={finished[0]}"],
        "submit": [sample, "--predict_output_fp=out", f"--predict_checkpoint_path={finished[0]}"],
        "plot": [str(finished[0]), "--output=out"],
    }[command]
    assert run_here(command, *words, cwd=tmp_path).returncode == 0
    before = files(tmp_path / "out")
    message = error_of(disturbed(tmp_path, LIMIT.format(bytes=300), [command, *words]))
    assert message.startswith(f"error: {command}: out/")
    assert message.endswith(": File too large. No larger file is allowed here (ulimit -f).")
    after = files(tmp_path / "out")
    assert {name: content for name, content in after.items() if name in before} == {name: before[name] for name in after}


def test_a_damaged_log_stops_no_restart(tmp_path: Path, run_here: Run, train_words: list[str]) -> None:
    assert run_here(*train(train_words), cwd=tmp_path).returncode == 0
    log = tmp_path / "run/metrics.csv"
    lines = log.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"OCEMOTION", b"OCE\xffMOTION")
    log.write_bytes(b"\n".join([*lines[:3], b"", b'"', b"\x00,\xc2\xb2", *lines[3:]]))
    done = run_here(*train(train_words), "--num_epochs=0.04", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    steps = [line.split(",")[0] for line in log.read_text(encoding="utf-8").splitlines()]
    assert steps == ["step", "1", "3", "4", "5", *map(str, range(6, 10))]
    pytest.importorskip("matplotlib")
    log.write_bytes(log.read_bytes().replace(b"3,OCNLI", b"3,OC\xffNLI", 1))
    drawn = run_here("plot", "run", cwd=tmp_path)
    assert drawn.returncode == 0 and "1 damaged rows are left out" in drawn.stderr


def test_a_run_that_has_lost_its_vocabulary(tmp_path: Path, run_here: Run, train_words: list[str], data: Path) -> None:
    assert run_here(*train(train_words), cwd=tmp_path).returncode == 0
    (tmp_path / "run/vocab.txt").unlink()
    dev = f"--predict_input_fp={data / 'dev.list_tfrecord'}"
    for words in (train(train_words), ["evaluate", "--model_dir=run", dev]):
        assert "run/vocab.txt" in error_of(run_here(*words, cwd=tmp_path))


def test_a_folder_that_vanishes_under_a_training(tmp_path: Path, train_words: list[str]) -> None:
    process = WarmProcess(train(train_words, "--num_epochs=30", "--save_steps=200"), tmp_path)
    try:
        log = tmp_path / "run/metrics.csv"
        process.wait_until(lambda: log.exists() and log.stat().st_size > 20_000, "rows in metrics.csv")
        os.rename(tmp_path / "run", tmp_path / "moved")
        (tmp_path / "run").write_text("something else", encoding="utf-8")
        assert "run" in error_of(process.finish())
    finally:
        process.kill()
    assert (tmp_path / "run").read_text(encoding="utf-8") == "something else"
    shutil.rmtree(tmp_path / "moved")
