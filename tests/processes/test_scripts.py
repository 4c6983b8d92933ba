"""The shell scripts: valid, executable, free of machine paths and of deletions, and clear about how they are called."""

import json
import os
import re
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "run_scripts").glob("*.sh"))
FILES = [*SCRIPTS, *sorted((ROOT / "run_scripts/config").rglob("*.json"))]
USAGES = {
    "run_contest.sh": ([], ["nowhere"], [str(ROOT / "data/sample")]),
    "run_folds.sh": ([], ["nowhere"], [str(ROOT / "data/sample")]),
    "run_recipe.sh": ([], ["nowhere"], [str(ROOT / "data/sample")]),
    "run_submission.sh": ([], ["model_only"]),
}
IN_DATA_DIR = ("run_convert_csv_to_tfrecords.sh", "run_multitask_finetune.sh")


def name_of(path: Path) -> str:
    """Returns a file's name for the test's id."""
    return path.name


def test_scripts_are_there() -> None:
    names = {path.name for path in SCRIPTS}
    assert names >= {"run_convert_csv_to_tfrecords.sh", "run_multitask_finetune.sh", "quickstart.sh", *USAGES}


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_is_valid_bash(path: Path) -> None:
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_is_executable(path: Path) -> None:
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.name != "environment.sh"], ids=name_of)
def test_script_stops_at_the_first_error_and_tells_its_usage(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert re.search(r"^set -euo pipefail$", text, re.M)
    assert re.search(rf"^# usage: bash run_scripts/{path.name}", text, re.M)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script_removes_nothing(path: Path) -> None:
    code = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"\b(rm|rmdir|unlink|shred|truncate|mv)\b|-delete\b|git clean", code)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_has_lf_line_ends_and_no_path_of_a_machine(path: Path) -> None:
    content = path.read_bytes()
    assert b"\r" not in content
    text = content.decode("utf-8")
    assert "CUDA_VISIBLE_DEVICES" not in text
    assert re.findall(r"(?<![\w.}\"*])/(?!usr/bin/env\b|dev/null\b)[a-z]+/[\w/.-]+", text) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".json"], ids=name_of)
def test_config_is_json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name, words", [(name, words) for name, cases in USAGES.items() for words in cases])
def test_too_few_words_print_the_usage_and_exit_2(script: Script, tmp_path: Path, name: str, words: list[str]) -> None:
    done = script(name, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert f"usage: bash run_scripts/{name}" in done.stderr
    assert not any(line.startswith("#") for line in done.stderr.splitlines())
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


WORDS = {
    "run_contest.sh": [".", "--vocab", "vocab.txt"],
    "run_folds.sh": [".", "--vocab", "vocab.txt"],
    "run_recipe.sh": [".", "--vocab", "vocab.txt"],
    "run_submission.sh": [".", "."],
    **dict.fromkeys(IN_DATA_DIR, ["."]),
}


def without_the_package(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script in ``folder``, whose ``venv`` has its Python; ``realpath`` does not work there."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    realpath = folder / "venv/bin/realpath"
    realpath.write_text("#!/bin/sh\necho illegal option >&2\nexit 1\n", encoding="utf-8")
    realpath.chmod(0o755)
    return subprocess.run(
        ["bash", str(ROOT / "run_scripts" / name), *WORDS[name]],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**environment, "VIRTUAL_ENV": str(folder / "venv"), "PATH": f"{realpath.parent}:{environment['PATH']}"},
    )


@pytest.mark.parametrize("name", WORDS)
def test_without_the_package_the_way_to_install_it_is_told(name: str, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    done = without_the_package(name, tmp_path)
    assert done.returncode == 1
    assert "is not installed" in done.stderr and "quickstart.sh" in done.stderr
    assert os.listdir(tmp_path) == ["venv"]


@pytest.mark.parametrize("name", WORDS)
def test_a_python_that_only_the_repository_folder_gives_the_package_is_not_enough(name: str, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    done = without_the_package(name, tmp_path)
    assert done.returncode == 1 and "is not installed" in done.stderr
    assert os.listdir(tmp_path) == ["venv"]
