"""What ends a process, and what it leaves: a closed terminal stops in good order, a kill leaves nothing for ever."""

import os
import pty
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_processes import WarmProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and terminals of Linux")
PROGRAM = """import runpy, signal
signal.signal(signal.SIGHUP, signal.{handling})
runpy.run_module("easytransfer_mtl", run_name="__main__")
"""
"""The program in a terminal (SIG_DFL) or under nohup (SIG_IGN), wherever the tests themselves run."""


def program(folder: Path, handling: str) -> Path:
    """Writes a script that runs the program with a handling of SIGHUP."""
    path = folder / f"{handling}.py"
    path.write_text(PROGRAM.format(handling=handling), encoding="utf-8")
    return path


def waiting_for(process: WarmProcess, line: str) -> None:
    process.wait_until(lambda: line in process.stderr, line)


@pytest.fixture
def train(train_words: list[str], tmp_path: Path) -> list[str]:
    """A training that lasts until it is stopped."""
    return [*train_words, "--num_epochs=200", "--log_step_count_steps=1", f"--model_dir={tmp_path / 'run'}"]


@pytest.fixture
def pretrain(encoder: Path, root: Path, tmp_path: Path) -> list[str]:
    """A pre-training that lasts until it is stopped."""
    return [
        "pretrain", f"--pretrain_model_name_or_path={encoder}", "--random_init", f"--data_dir={root / 'data/sample'}",
        "--train_steps=5000", "--train_batch_size=8", "--sequence_length=32", "--log_step_count_steps=1",
        f"--model_dir={tmp_path / 'run'}",
    ]  # fmt: skip


def stops_at_a_hangup(words: list[str], line: str, tmp_path: Path) -> None:
    """Starts a command, hangs up when its log has ``line``, and checks that a step was saved."""
    process = WarmProcess(words, tmp_path, program(tmp_path, "SIG_DFL"))
    try:
        waiting_for(process, line)
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 128 + signal.SIGHUP
    finally:
        process.kill()
    assert "SIGHUP: stopped after step" in process.stderr and "Traceback" not in process.stderr
    assert list((tmp_path / "run" / "interrupted").glob("model.ckpt-*.index"))
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_hangup_stops_a_pre_training_after_a_step_that_is_saved(pretrain: list[str], tmp_path: Path) -> None:
    stops_at_a_hangup(pretrain, "step 3 of 5000, ", tmp_path)


def test_trainings_in_one_folder(train: list[str], run: Callable[..., object], tmp_path: Path) -> None:
    """The first ignores hangups, as under nohup, and goes on while a second is refused; a third follows the killed first."""
    first = WarmProcess(train, tmp_path, program(tmp_path, "SIG_IGN"))
    try:
        waiting_for(first, "progress = ")
        first.send_signal(signal.SIGHUP)
        goes_on(first)
        second = run(*train)
        assert second.returncode == 2 and "is in use by process" in second.stderr and "Traceback" not in second.stderr
        goes_on(first)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    finally:
        first.kill()
    stops_at_a_hangup(train, "progress = ", tmp_path)


def goes_on(process: WarmProcess) -> None:
    """Waits for more steps."""
    seen = process.stderr.count("progress = ")
    process.wait_until(lambda: process.stderr.count("progress = ") > seen + 3, "more steps")


def test_a_terminal_that_is_closed_does_not_keep_the_step_from_being_saved(train: list[str], tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = WarmProcess(train, tmp_path, program(tmp_path, "SIG_DFL"), [os.ttyname(slave)] * 2)
    try:
        seen = b""
        while b"progress = " not in seen:
            seen += os.read(master, 10_000)
        os.close(slave)
        os.close(master)
        process.send_signal(signal.SIGHUP)
        process.wait()
    finally:
        process.kill()
    assert list((tmp_path / "run" / "interrupted").glob("model.ckpt-*.index"))


def test_what_a_killed_conversion_left_goes_with_the_next(encoder: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "TNEWS_train.csv", tmp_path / "out" / "TNEWS_train.tfrecord"
    source.write_text("".join(f"{row}\t{'今天天气很好' * 20}\t108\n" for row in range(60_000)), encoding="utf-8")
    words = [
        "convert", "--task=TNEWS", f"--preprocess_input_fp={source}", f"--preprocess_output_fp={output}",
        f"--tokenizer_name_or_path={encoder}", "--sequence_length=40",
    ]  # fmt: skip
    process = WarmProcess(words, tmp_path)
    try:
        process.wait_until(lambda: any(output.parent.glob(".*.tmp")), "a temporary file")
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    assert len(list(output.parent.glob(".*.tmp"))) == 1 and not output.exists()
    source.write_text("0\t今天\t108\n", encoding="utf-8")
    assert WarmProcess(words, tmp_path).finish().returncode == 0
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name, f"{output.name}.manifest.json"]
