"""The build context of the contest's image; its run.sh is run where the image's paths stand in other folders."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stored import store_model

from easytransfer_mtl.commands.docker import run
from easytransfer_mtl.config.docker_settings import DockerSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.submission import image
from easytransfer_mtl.submission.checker import check_submission
from easytransfer_mtl.submission.image import TAG_FILE, check_names, pinned
from easytransfer_mtl.submission.writer import package
from easytransfer_mtl.tasks import CONTEST_TASKS

ROOT = Path(__file__).parents[2]
TEXTS = ("天地人日月", "山水火木", "金土心手口目")


@pytest.fixture(scope="session")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with best/. Do not write into it."""
    return store_model(tmp_path_factory.mktemp("stored") / "run", tiny_encoder, 1).path


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of invented test files of the b board, where the ids of OCNLI do not begin with 0."""
    folder = tmp_path_factory.mktemp("boards")
    for task in CONTEST_TASKS:
        first, texts = (1500, 2) if task.name == "OCNLI" else (0, 1)
        lines = ("\t".join([str(first + row), *TEXTS[row : row + texts]]) + "\r\n" for row in range(2))
        (folder / f"{task.name.lower()}_test_B.csv").write_bytes("".join(lines).encode("utf-8"))
    return folder


def write(model: Path | str, output: Path, **more: Any) -> str:
    """Writes a context and returns its tag."""
    assert run(DockerSettings(predict_checkpoint_path=str(model), output_dir=str(output), **more)) == 0
    return (output / TAG_FILE).read_text().strip()


def files_of(folder: Path) -> dict[str, tuple[str, int, float]]:
    """Returns hash, mode and time of each file."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode & 0o777,
            path.stat().st_mtime,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


@dataclass
class Started:
    """A run.sh that has ended."""

    code: int
    said: str
    folder: Path


def start(context: Path, folder: Path, **variables: str) -> Started:
    """Runs run.sh in an empty folder with the image's paths in a copy of the context, as ``COPY`` would make it."""
    copy = folder / "image"
    shutil.copytree(context, copy)
    empty = folder / "empty folder"
    empty.mkdir()
    others = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DATA_DIR", "BOARD")}
    given = {"APP_DIR": str(copy / "app"), "PYTHON": sys.executable, "TMPDIR": str(folder), **variables}
    done = subprocess.run(["sh", copy / "run.sh"], cwd=empty, env=others | given, capture_output=True, text=True)
    return Started(done.returncode, done.stdout + done.stderr, empty)


def test_run_sh_writes_a_result_that_passes_the_check(tmp_path: Path, model: Path, boards: Path) -> None:
    write(model, tmp_path / "context", data_dir=str(boards), board="b")
    done = start(tmp_path / "context", tmp_path, DATA_DIR=str(tmp_path / "image/app/data"))
    assert done.code == 0, done.said
    assert [path.name for path in done.folder.iterdir()] == ["result.zip"]
    files = {task.name: boards / f"{task.name.lower()}_test_B.csv" for task in CONTEST_TASKS}
    assert check_submission(done.folder / "result.zip", CONTEST_TASKS, files).errors == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "empty folder", "image"]


def test_run_sh_without_test_files_says_what_is_missing(tmp_path: Path, model: Path) -> None:
    write(model / "best", tmp_path / "context", board="b")
    assert 'DATA_DIR="${DATA_DIR:-/tcdata}"' in (tmp_path / "context/run.sh").read_text()
    done = start(tmp_path / "context", tmp_path, DATA_DIR=str(tmp_path / "nowhere"))
    assert done.code == 2 and "there is no folder" in done.said and not list(done.folder.iterdir())


def test_a_failed_prediction_leaves_an_old_result_alone(tmp_path: Path, model: Path) -> None:
    write(model, tmp_path / "context")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho half > result.zip\nkill -9 $$\n")
    python.chmod(0o755)
    (tmp_path / "data").mkdir()
    done = start(tmp_path / "context", tmp_path, DATA_DIR=str(tmp_path / "data"), PYTHON=str(python))
    assert done.code != 0 and not list(done.folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "data", "empty folder", "image", "python"]


def test_equal_contents_give_equal_files_and_tags(tmp_path: Path, model: Path, boards: Path) -> None:
    more = {"data_dir": str(boards)}
    one = write(model, tmp_path / "one", **more)
    assert write(model / "best", tmp_path / "deep/two", **more) == one
    assert files_of(tmp_path / "one") == files_of(tmp_path / "deep/two")
    assert {time for _, _, time in files_of(tmp_path / "one").values()} == {315_532_800}
    assert {mode for name, (_, mode, _) in files_of(tmp_path / "one").items() if name != "run.sh"} == {0o644}
    assert write(model, tmp_path / "three") != one
    assert re.fullmatch("[0-9a-f]{16}", one)


def test_what_the_context_holds(tmp_path: Path, model: Path, boards: Path) -> None:
    stray = shutil.copytree(model / "best", tmp_path / "best")
    (stray / "notes.txt").write_text("mine")
    write(stray, tmp_path / "context", data_dir=str(boards))
    found = files_of(tmp_path / "context")
    program = {name.removeprefix("app/") for name in found if name.startswith("app/easytransfer_mtl/")}
    assert program == {path.relative_to(ROOT).as_posix() for path in (ROOT / "easytransfer_mtl").rglob("*.py")}
    of_model = {name.removeprefix("app/models/000/") for name in found if name.startswith("app/models/")}
    assert of_model == {path.name for path in (model / "best").iterdir()}
    assert {name for name in found if name.startswith("app/data/")} == {f"app/data/{t.name}_test.csv" for t in CONTEST_TASKS}
    rest = {name for name in found if not name.startswith("app/")}
    assert rest == {"Dockerfile", "run.sh", "requirements.txt", "constraints.txt", TAG_FILE}
    dockerfile = (tmp_path / "context/Dockerfile").read_text()
    copied = re.findall(r"^COPY (.+) /\S*$", dockerfile, re.M)
    assert all((tmp_path / "context" / name).exists() for words in copied for name in words.split())
    assert dockerfile.startswith("FROM python:3.11-slim\n") and b"\r" not in (tmp_path / "context/run.sh").read_bytes()


def test_requirements_are_pinned_as_in_constraints(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = pinned()
    assert set(lines) <= set(tested) and "tensorflow==2.21.0" in lines
    assert not [line for line in lines if line.startswith(("pytest", "ruff", "mypy", "jieba"))]
    monkeypatch.setattr(image, "constraints", lambda: [])
    assert all(re.fullmatch(r"[\w-]+==\d[\w.]*", line) for line in pinned())
    monkeypatch.setattr(image, "installed_version", lambda name: None)
    with pytest.raises(UserError, match="absl-py is not installed"):
        pinned()


def test_several_models_are_averaged(tmp_path: Path, model: Path, tiny_encoder: Path) -> None:
    other = store_model(tmp_path / "other", tiny_encoder, 2).path
    write(f"{model},{other}", tmp_path / "context")
    assert {path.name for path in (tmp_path / "context/app/models").iterdir()} == {"000", "001"}
    assert '--checkpoints="$app/models/*"' in (tmp_path / "context/run.sh").read_text()


def test_a_result_is_put_beside_run_sh(tmp_path: Path, model: Path, write_good: Callable[[Path, int], Path]) -> None:
    write_good(tmp_path / "good", 1500)
    package(tmp_path / "good", CONTEST_TASKS)
    result = tmp_path / "good/result.zip"
    write(model, tmp_path / "context", submission=str(result))
    assert (tmp_path / "context/result.zip").read_bytes() == result.read_bytes()
    assert "COPY result.zip /result.zip\n" in (tmp_path / "context/Dockerfile").read_text()
    result.write_bytes(b"no archive")
    with pytest.raises(UserError, match="not ready to submit"):
        write(model, tmp_path / "other", submission=str(result))
    assert not (tmp_path / "other").exists()


def test_an_own_context_is_replaced_and_nothing_else(tmp_path: Path, model: Path, boards: Path) -> None:
    first = write(model, tmp_path / "context")
    assert write(model, tmp_path / "context", data_dir=str(boards)) != first
    (tmp_path / "context/notes.txt").write_text("mine")
    before = files_of(tmp_path / "context")
    with pytest.raises(UserError, match="holds other things"):
        write(model, tmp_path / "context")
    assert files_of(tmp_path / "context") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(UserError, match="holds other things"):
        write(model, tmp_path / "mine")
    with pytest.raises(UserError, match="it is a file|no folder"):
        write(model, tmp_path / "mine/file")


def test_a_context_that_cannot_be_finished_is_not_there(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(image.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        write(model, tmp_path / "context")
    assert not list(tmp_path.iterdir())


def test_what_is_no_exported_model_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UserError, match="is a checkpoint"):
        write(model / "model.ckpt-3", tmp_path / "context")
    damaged = shutil.copytree(model / "best", tmp_path / "damaged")
    (damaged / "heads.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is not the file that was exported"):
        write(damaged, tmp_path / "context")
    own = shutil.copytree(model / "best", tmp_path / "own")
    tasks = own / "tasks.json"
    tasks.write_text(tasks.read_text().replace('"model_class": "MultiTaskModel"', '"model_class": "MeanPooled"'))
    export = own / "export.json"
    export.write_text(re.sub(r'\n *"tasks.json": "\w+",?', "", export.read_text()).replace(",\n  }", "\n  }"))
    with pytest.raises(UserError, match="its user's own code"):
        write(own, tmp_path / "context")
    with pytest.raises(UserError, match="is not an exported model"):
        write(tmp_path, tmp_path / "context")
    assert not (tmp_path / "context").exists()


def test_test_files_that_cannot_be_predicted_are_refused(tmp_path: Path, model: Path, boards: Path) -> None:
    bad = shutil.copytree(boards, tmp_path / "bad")
    (bad / "tnews_test_B.csv").write_text("0\tone\ttwo\tthree\n", encoding="utf-8")
    with pytest.raises(UserError, match="tnews_test_B.csv"):
        write(model, tmp_path / "context", data_dir=str(bad))
    with pytest.raises(UserError, match="has no test file"):
        write(model, tmp_path / "context", data_dir=str(model))
    assert not (tmp_path / "context").exists()


def test_the_commands_are_printed(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag = write(model, tmp_path / "two words", registry="registry.example.com:5000/team/nlp")
    printed = capsys.readouterr().out
    assert "docker login registry.example.com:5000\n" in printed
    assert (
        f"docker build --platform linux/amd64 -t registry.example.com:5000/team/nlp:{tag} '{tmp_path}/two words'" in printed
    )
    assert f"docker push registry.example.com:5000/team/nlp:{tag}\n" in printed
    write(model, tmp_path / "context")
    assert f"docker push REGISTRY/NAMESPACE/NAME:{tag}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Registry/x", "host/team/nlp:1", "a b", "", "x\ny", "../x"])
def test_wrong_repositories_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no repository"):
        check_names("python:3.11-slim", name)


@pytest.mark.parametrize("name", ["", "python:3 AS x", "python\nRUN x", "-x"])
def test_wrong_base_images_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no name of an image"):
        check_names(name, None)
