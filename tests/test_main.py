"""The command line: help, suggestions, exit codes, and a start that does not wait for TensorFlow."""

import importlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from easytransfer_mtl import __main__ as program
from easytransfer_mtl import __version__
from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.errors import Stopped, UserError

ROOT = Path(__file__).parents[1]
TABLE = (
    "check_data", "eda", "split", "convert", "pretrain", "train", "evaluate", "predict", "submit", "check_submission",
    "export", "serve", "plot", "report", "prune_vocabulary", "compare", "docker", "doctor",
)  # fmt: skip
HEAVY = ("tensorflow", "tf_keras", "transformers", "sklearn", "h5py")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, encoding="utf-8", check=False)


def replace_command(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException) -> None:
    def run(settings: object) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(run=run))


def test_the_commands() -> None:
    assert tuple(program.COMMANDS) == TABLE


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed and command.purpose in printed for name, command in program.COMMANDS.items())
    assert "COMMAND --help" in printed


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_into_a_closed_pipe_is_no_error() -> None:
    command = [sys.executable, "-m", "easytransfer_mtl", "train", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_setting_with_default_choices_and_json_key(
    name: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([name, "--config=none.json", flag]) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 100 for line in printed.splitlines())
    parts = {part.split("\n", 1)[0].replace("[no]", "").strip(): " ".join(part.split()) for part in printed.split("\n  --")}
    for item in options_of(program.COMMANDS[name].settings).values():
        text = parts[item.name]
        assert " ".join(item.help.split()) in text
        assert ("required" in text) or not item.required
        assert item.default is None or f"default: {item.default}" in text
        assert not item.choices or f"one of: {', '.join(item.choices)}" in text
        assert not item.place or f"JSON: {item.place}" in text


@pytest.mark.parametrize(
    ("word", "near"), [("trian", "train"), ("Predict", "predict"), ("check-submission", "check_submission")]
)
def test_an_unknown_command_suggests_the_nearest(word: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([word, "--help"]) == 2
    message = capsys.readouterr().err
    assert f"error: unknown command {word!r}; did you mean {near}?" in message
    assert all(name in message for name in TABLE)


def test_a_command_like_no_other_gets_the_list_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--config=x.json"]) == 2
    message = capsys.readouterr().err
    assert "unknown command '--config=x.json'" in message and "did you mean" not in message


def test_an_unknown_flag_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["train", "--lerning_rate=1"]) == 2
    message = capsys.readouterr().err
    assert "error: train: Unknown command line flag 'lerning_rate'. Did you mean: learning_rate" in message
    assert "`train --help`" in message


def test_an_unknown_json_key_suggests_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"train_config": {"model_dri": "x"}}', encoding="utf-8")
    assert program.main(["train", f"--config={tmp_path / 'config.json'}"]) == 2
    assert "train_config.model_dri is not known; did you mean train_config.model_dir?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (UserError("bad input"), 2, "error: bad input\n"),
        (Stopped("stopped after step 7", signal.SIGTERM), 128 + 15, "stopped after step 7\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: int | BaseException,
    code: int,
    message: str,
) -> None:
    replace_command(monkeypatch, outcome)
    assert program.main(["check_submission", "--submission=x.zip"]) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("outcome", [ZeroDivisionError(), KeyError("x"), AssertionError(), ValueError("x")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, outcome: Exception) -> None:
    replace_command(monkeypatch, outcome)
    with pytest.raises(type(outcome)):
        program.main(["check_submission", "--submission=x.zip"])


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (OSError(28, "No space left on device", "run/metrics.csv"), "run/metrics.csv: No space left on device. Free some"),
        (PermissionError(13, "Permission denied", b"run"), "run: Permission denied. You lack the permission."),
        (FileNotFoundError(2, "No such file or directory", "a", None, "b"), "a -> b: No such file or directory."),
        (OSError("Unable to open file"), "Unable to open file."),
        (MemoryError("Unable to allocate 9 GiB"), "Out of memory: Unable to allocate 9 GiB. Take fewer rows"),
        (MemoryError(), "Out of memory. Take fewer rows"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], outcome: Exception, message: str
) -> None:
    replace_command(monkeypatch, outcome)
    assert program.main(["check_submission", "--submission=x.zip"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: check_submission: {message}") and printed.count("\n") == 1


def test_what_the_machine_refuses_tensorflow_is_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    oom = "OOM when allocating tensor with shape[9,9]\nmore"
    full = "{{function_node x}} run/model.ckpt-1_temp/part-00000-of-00001.tempstate1: x; No space left on device [Op:SaveV2]"
    gone = "run/model.ckpt-1.index; No such file or directory"
    for outcome, message in (
        (
            tf.errors.ResourceExhaustedError(None, None, oom),
            "Out of memory: OOM when allocating tensor with shape[9,9]. Take",
        ),
        (tf.errors.ResourceExhaustedError(None, None, full), "run/model.ckpt-1: No space left on device. Free some space"),
        (tf.errors.NotFoundError(None, None, gone), "run/model.ckpt-1.index: No such file or directory."),
        (tf.errors.FailedPreconditionError(None, None, "run is not a directory"), "run is not a directory."),
    ):
        replace_command(monkeypatch, outcome)
        assert program.main(["check_submission", "--submission=x.zip"]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: check_submission: {message}") and printed.count("\n") == 1
    for bug in (
        tf.errors.InvalidArgumentError(None, None, "Matrix size-incompatible: In[0]: [1,2]"),
        tf.errors.FailedPreconditionError(None, None, "Could not find variable dense/kernel"),
        tf.errors.NotFoundError(None, None, "Resource localhost/x does not exist"),
    ):
        replace_command(monkeypatch, bug)
        with pytest.raises(type(bug)):
            program.main(["check_submission", "--submission=x.zip"])


def test_settings_are_checked_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never() -> None:
        raise AssertionError("looked at the environment first")

    monkeypatch.setattr(program, "check_environment", never)
    assert program.main(["train"]) == 2
    message = capsys.readouterr().err
    assert "error: train: Missing: --" in message and "--pretrain_model_name_or_path (JSON: " in message


def test_exit_codes_reach_the_shell() -> None:
    good, bad = child("-m", "easytransfer_mtl", "--version"), child("-m", "easytransfer_mtl", "nothing")
    assert (good.returncode, good.stdout) == (0, f"{__version__}\n")
    assert bad.returncode == 2 and bad.stderr.startswith("error: unknown command") and not bad.stdout


def test_help_and_import_leave_heavy_packages_alone() -> None:
    script = (
        "import sys, easytransfer_mtl\n"
        "assert not set(sys.modules) & {'numpy', *HEAVY}, 'package'\n"
        "from easytransfer_mtl.__main__ import main\n"
        "for arguments in ([], ['train', '--help'], ['trian'], ['train', '--batch=1'], ['evaluate']):\n"
        "    main(arguments)\n"
        "    assert not set(sys.modules) & set(HEAVY), arguments\n"
        "print('clean')\n"
    )
    done = child("-c", f"HEAVY = {HEAVY!r}\n{script}")
    assert done.stdout.endswith("clean\n"), done.stderr
