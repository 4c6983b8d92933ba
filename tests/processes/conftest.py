"""Runs the program as a process, over the sample data and a BERT so small that a step takes milliseconds."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_once import made_once
from warm_processes import SECONDS, WarmProcess, WarmSession
from warm_python import WarmPython

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
RECORDING_PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
shift 2
printf '%s\\n' "$@" "" >> "$RECORD"
for word in "$@"; do
  [ "$word" = "$FAILS" ] && exit 3
done
for word in "$@"; do
  case "$word" in
    --model_dir=*)
      mkdir -p "${word#*=}/best" "${word#*=}/final"
      touch "${word#*=}/best/export.json" "${word#*=}/final/pretraining.json" ;;
  esac
done
"""


class Recorder:
    """Runs a script with a Python that writes down its words; trainings leave only the files that tell their end."""

    def __init__(self, script: str, told: str, folder: Path, data: Path) -> None:
        self._script, self._told = ROOT / "run_scripts" / script, told
        self.output, self.data = folder / "out", data
        self._record, self._python = folder / "record", folder / "venv/bin/python"
        self._python.parent.mkdir(parents=True)
        self._python.write_text(RECORDING_PYTHON, encoding="utf-8", newline="\n")
        self._python.chmod(0o755)

    def run(self, *words: str | Path, fails: str = "none") -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
        """Returns the process and the words of each command."""
        self._record.write_text("", encoding="utf-8")
        environment = {"VIRTUAL_ENV": str(self._python.parents[1]), "RECORD": str(self._record), "FAILS": fails}
        command = ["bash", str(self._script), str(self.data), "--output", str(self.output), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
        blocks = self._record.read_text(encoding="utf-8").split("\n\n")[:-1]
        return done, [block.split("\n") for block in blocks]

    def names(self, commands: list[list[str]]) -> list[str]:
        """Returns the commands, each with its words that begin as was said when this was made."""
        return [" ".join([words[0], *(word for word in words if word.startswith(self._told))]) for words in commands]


@pytest.fixture(scope="session")
def record() -> type[Recorder]:
    """Makes a ``Recorder`` of a script, the beginning of words that ``names`` tells, a folder to work in, and the data."""
    return Recorder


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs ``python -m easytransfer_mtl`` with the given words in a folder that is not the repository."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run_program(*words: str | Path, cwd: Path = elsewhere) -> subprocess.CompletedProcess[str]:
        return WarmProcess(list(words), cwd).finish()

    return run_program


@pytest.fixture(scope="module")
def new_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Run]]:
    """Makes what runs its commands as ``run`` does, but all of them in one process, which ends with the module."""
    elsewhere, sessions = tmp_path_factory.mktemp("elsewhere"), []

    def make() -> Run:
        sessions.append(WarmSession())

        def run_program(*words: str | Path, cwd: Path = elsewhere) -> subprocess.CompletedProcess[str]:
            return session.run(*words, cwd=cwd)

        session = sessions[-1]
        return run_program

    yield make
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def run_here(new_session: Callable[[], Run]) -> Run:
    """Runs the program as ``run`` does, but all of the module's commands in one process, which spares their starts."""
    return new_session()


@pytest.fixture(scope="session")
def make_encoder() -> Callable[..., Path]:
    """Writes the folder of an encoder without weights: the sample's vocabulary and a tiny config."""

    def make(folder: Path, **changes: int) -> Path:
        folder.mkdir(parents=True)
        config = json.loads((ROOT / "data/tiny_bert_zh/config.json").read_text(encoding="utf-8"))
        config |= {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, **changes}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        shutil.copyfile(ROOT / "data/tiny_bert_zh/vocab.txt", folder / "vocab.txt")
        return folder

    return make


@pytest.fixture(scope="session")
def encoder(make_encoder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder's folder."""
    return made_once(tmp_path_factory, "encoder", lambda folder: make_encoder(folder / "tiny")) / "tiny"


@pytest.fixture(scope="session")
def data(run: Run, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/sample as TFRecords with their list files."""

    def convert(folder: Path) -> None:
        words = [f"--data_dir={ROOT / 'data/sample'}", f"--output_dir={folder}", f"--tokenizer_name_or_path={encoder}"]
        done = run("convert", *words, "--sequence_length=40")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "data", convert)


@pytest.fixture(scope="session")
def train_words(encoder: Path, data: Path) -> list[str]:
    """The train command on the sample; what is still missing is ``--model_dir``."""
    return [
        "train",
        f"--pretrain_model_name_or_path={encoder}",
        "--random_init",
        "--train_batch_size=8",
        "--learning_rate=3e-3",
        f"--train_input_fp={data / 'train.list_tfrecord'}",
    ]


@pytest.fixture(scope="session")
def finished(
    run: Run, train_words: list[str], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run that was trained for 40 steps and evaluated: its folder and its process. Do not write into the folder."""

    def train(folder: Path) -> None:
        words = [*train_words, f"--predict_input_fp={data / 'dev.list_tfrecord'}", f"--model_dir={folder / 'model'}"]
        done = run(*words, "--num_epochs=0.195", "--save_steps=20")
        (folder / "process.json").write_text(json.dumps(vars(done)), encoding="utf-8")

    folder = made_once(tmp_path_factory, "finished", train)
    about = json.loads((folder / "process.json").read_text(encoding="utf-8"))
    return folder / "model", subprocess.CompletedProcess(**about)


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a script of run_scripts with this Python as the active virtual environment."""
    folder = tmp_path_factory.mktemp("virtual_environment")
    WarmPython(folder)
    variables = {**os.environ, "VIRTUAL_ENV": str(folder)}

    def run_script(name: str, *words: str | Path, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(ROOT / "run_scripts" / name), *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=SECONDS)

    return run_script
