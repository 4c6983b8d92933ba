"""Runs the program as a process, over the sample data and a BERT so small that a step takes milliseconds."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_processes import SECONDS, WarmProcess
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
    return make_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def data(run: Run, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/sample as TFRecords with their list files."""
    folder = tmp_path_factory.mktemp("data")
    done = run(
        "convert",
        f"--data_dir={ROOT / 'data/sample'}",
        f"--output_dir={folder}",
        f"--tokenizer_name_or_path={encoder}",
        "--sequence_length=40",
    )
    assert done.returncode == 0, done.stderr
    return folder


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
    folder = tmp_path_factory.mktemp("finished") / "model"
    dev = f"--predict_input_fp={data / 'dev.list_tfrecord'}"
    done = run(*train_words, dev, f"--model_dir={folder}", "--num_epochs=0.195", "--save_steps=20")
    return folder, done


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
