"""One process at a time in a run's folder, and a folder that cannot be one is told before anything is done."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.commands.compare import run as compare
from easytransfer_mtl.commands.evaluate import run as evaluate
from easytransfer_mtl.commands.train import run as train
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs import lock as module
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]


HOLDS = """
import sys
from pathlib import Path
from easytransfer_mtl.runs.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
"""Holds a run's folder until it is killed; it needs no TensorFlow."""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds ``tmp_path/run``."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_process_is_refused_and_told_who_holds_the_folder(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"in use by process {holder.pid} on {socket.gethostname()}"):
        with run_lock(tmp_path / "run"):
            pytest.fail("both hold it")
    with run_lock(tmp_path / "run2"):
        pass


def test_a_process_that_was_killed_holds_nothing(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    assert names(tmp_path / "run") == [".lock"]
    with run_lock(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists() or names(tmp_path / "run") == []


def test_a_folder_that_was_made_for_the_lock_alone_goes_with_it(tmp_path: Path) -> None:
    with run_lock(tmp_path / "a" / "b"):
        assert names(tmp_path / "a" / "b") == [".lock"]
    assert names(tmp_path) == []
    with run_lock(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert names(tmp_path / "a" / "b") == ["file"]


def test_where_files_cannot_be_locked_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "try_lock", lambda descriptor: None)
    with run_lock(tmp_path / "run"), run_lock(tmp_path / "run"):
        pass
    assert "cannot be locked here" in caplog.text


def test_a_link_in_the_locks_place_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="cannot be written to"), run_lock(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_bytes() == b"kept"


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_the_lock_of_a_copy_made_of_hard_links_is_its_own(tmp_path: Path) -> None:
    for name in ("run", "copy"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / ".lock").write_bytes(b"process 1 on another\n")
    os.link(tmp_path / "run" / ".lock", tmp_path / "copy" / ".lock")
    with run_lock(tmp_path / "copy"):
        assert (tmp_path / "run" / ".lock").read_bytes() == b"process 1 on another\n"
        with run_lock(tmp_path / "run"):
            pass
        with pytest.raises(UserError, match="in use by process"), run_lock(tmp_path / "copy"):
            pass
    assert names(tmp_path / "copy") == []


@pytest.mark.parametrize("name", ["best", "evaluation", "tensorboard"])
def test_a_link_to_nowhere_in_the_place_of_a_runs_own_folder_is_told_at_the_start(name: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to("nowhere")
    with pytest.raises(UserError, match=f"{name} is no folder, and a run has one there"), run_lock(tmp_path / "run"):
        pass
    assert names(tmp_path / "run") == [name]


def test_a_training_and_an_evaluation_beside_a_training_are_refused(
    holder: subprocess.Popen[str],
    trained: Callable[..., Path],
    tiny_settings: Settings,
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    dev = str(tiny_data / "dev.list_tfrecord")
    trained(tiny_settings(num_epochs=0.1, model_dir=str(tmp_path / "other")))
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / "run" / path.name)
    before = names(tmp_path / "run")
    for command in (
        lambda: run_training(tiny_settings(num_epochs=0.1)),
        lambda: evaluate(EvaluateSettings(model_dir=str(tmp_path / "run"), predict_input_fp=dev)),
    ):
        with pytest.raises(UserError, match=f"in use by process {holder.pid}"):
            command()
    assert names(tmp_path / "run") == before
    one = str(tmp_path / "run" / "model.ckpt-1")
    single = EvaluateSettings(model_dir=str(tmp_path / "run"), predict_input_fp=dev, eval_checkpoint_path=one)
    assert (tmp_path / "run" / "model.ckpt-1.index").exists() and evaluate(single) == 0


@pytest.mark.parametrize("inside", ["", "deeper/run"])
def test_a_file_in_the_folders_place_is_told_before_the_data_is_read(
    inside: str, tiny_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    folder = str(tmp_path / "file" / inside)
    with pytest.raises(UserError, match="file is a file"):
        train(tiny_settings(model_dir=folder, train_input_fp="nowhere"))
    with pytest.raises(UserError, match="file is a file"):
        compare(CompareSettings(
            pretrain_model_name_or_path="nowhere", train_input_fp="nowhere", train_batch_size=4, model_dir=folder,
            predict_input_fp="nowhere",
        ))  # fmt: skip
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["best", "evaluation", "tensorboard"])
def test_a_file_in_the_place_of_a_runs_own_folder_is_told_at_the_start(
    name: str, tiny_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).touch()
    with pytest.raises(UserError, match=f"{name} is no folder, and a run has one there"):
        run_training(tiny_settings(train_input_fp="nowhere"))
    assert names(tmp_path / "run") == [name]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_before_the_data_is_read(tiny_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(UserError, match="run cannot be written to"):
        run_training(tiny_settings(train_input_fp="nowhere"))


def test_evaluating_what_is_no_run_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no tasks.json"):
        evaluate(EvaluateSettings(model_dir=str(tmp_path / "none"), predict_input_fp="nowhere"))
    assert not (tmp_path / "none").exists()


def test_tables_that_could_not_be_written_are_told_before_the_models_are_scored(
    trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    trained(tiny_settings(num_epochs=0.1))
    (tmp_path / "file").touch()
    settings = EvaluateSettings(
        checkpoints=str(tmp_path / "run" / "model.ckpt-1"), output_dir=str(tmp_path / "file" / "tables"),
        predict_input_fp="nowhere",
    )  # fmt: skip
    with pytest.raises(UserError, match="file is no folder"):
        evaluate(settings)
