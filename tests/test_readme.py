"""README's examples are the files that they show, and its commands run."""

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from warm_processes import WarmProcess, WarmSession

from easytransfer_mtl.encoders.names import encoder_table

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str, language: str) -> list[str]:
    """Returns the code blocks of one language in a README."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_shown_files_are_the_files(name: str) -> None:
    shown = [(ROOT / f"tests/examples/{file}.py").read_text(encoding="utf-8") for file in ("walk", "own_model")]
    assert blocks(name, "python") == shown
    assert blocks(name, "json") == [(ROOT / "data/own_task/tasks.json").read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", READMES)
def test_the_encoder_table_is_the_programs(name: str) -> None:
    assert f"```\n{encoder_table()}\n```" in (ROOT / name).read_text(encoding="utf-8")


def test_the_two_languages_show_the_same_commands() -> None:
    without_comments = [[re.sub(r"\s*#.*", "", block) for block in blocks(name, "bash")] for name in READMES]
    assert without_comments[0] == without_comments[1]


def test_the_two_languages_have_the_same_sections_tables_and_numbers() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in READMES]
    shapes = [[len(line) - len(line.lstrip("#")) for line in text.splitlines() if re.match(r"#+ ", line)] for text in texts]
    assert shapes[0] == shapes[1]
    numbers = [sorted(re.findall(r"\d+\.\d+", text)) for text in texts]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", [*READMES, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_flag_and_file_that_is_named_exists(name: str) -> None:
    from benchmarks.settings import BenchmarkSettings
    from easytransfer_mtl.__main__ import COMMANDS
    from easytransfer_mtl.config.options import options_of

    text = (ROOT / name).read_text(encoding="utf-8")
    commands = [BenchmarkSettings, *(command.settings for command in COMMANDS.values())]
    known = {flag for settings in commands for flag in options_of(settings)}
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/extending").glob("*.py")]
    known |= {name for text in files for name in re.findall(r"(\w+): \w+ = option\(", text)}
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "run_scripts").glob("*.sh")]
    scripts_own = {"help", *(flag for script in scripts for flag in re.findall(r"^#   --(\w+) ", script, re.MULTILINE))}
    links = re.findall(r"\]\(([^)#]*)[^)]*\)", text)
    own = re.sub(r"\]\([^)]*\)|\bTF_XLA_FLAGS=\S+", "", text)  # without links and TensorFlow's own flags
    assert set(re.findall(r"--([A-Za-z_]+)", own)) <= known | scripts_own
    folders = "run_scripts|tests|easytransfer_mtl|benchmarks" if name.startswith("docs/") else "run_scripts|tests|data"
    for path in re.findall(rf"(?<!/)\b(?:{folders})/[\w./*]+", text):
        assert list(ROOT.glob(path.rstrip("./"))), path
    for link in filter(None, links):
        assert "://" in link or ((ROOT / name).parent / link).exists(), link


def test_the_own_task_of_the_readme_trains(tmp_path: Path) -> None:
    block = next(block for block in blocks("README.md", "bash") if "data/own_task" in block)
    copying, *lines = block.replace("runs/own", str(tmp_path)).replace("\\\n", "").splitlines()
    subprocess.run(["bash", "-e", "-c", copying], cwd=ROOT, check=True)
    assert [line.split()[:2] for line in lines] == [["easytransfer_mtl", "convert"], ["easytransfer_mtl", "train"]]
    session = WarmSession()
    for line in lines:
        done = session.run(*shlex.split(line)[1:], cwd=ROOT)
        assert done.returncode == 0, done.stderr
    cells = json.loads((ROOT / "docs/own_tasks.ipynb").read_text(encoding="utf-8"))["cells"]
    *shell, python = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert shell == ["!" + line for line in re.split(r"(?<!\\)\n", block.rstrip("\n"))]
    (tmp_path / "cell.py").write_text(python.replace("runs/own", str(tmp_path)), encoding="utf-8")
    told = WarmProcess([], ROOT, script=tmp_path / "cell.py").finish().stdout.splitlines()
    assert (told[0] in ("好评", "差评"), told[1], 1 <= float(told[2]) <= 5) == (True, "['味道', '价格']", True), told
    session.close()
    entities = [(entity["label"], entity["text"]) for entity in ast.literal_eval(told[3])]
    assert entities == [("PLACE", "这家面馆"), ("PRAISE", "味道很好"), ("BLAME", "价格太贵")]
    found = re.findall(r"^(REVIEW|ASPECTS|STARS|SPANS)\s+60\s+\S.*?\s([\d.]+)\s", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["REVIEW", "ASPECTS", "STARS", "SPANS"], done.stdout
    assert all(float(score) > 0.85 for _, score in found), done.stdout


def test_the_own_model_of_the_readme_trains(tmp_path: Path) -> None:
    rows = tmp_path / "csv"
    rows.mkdir()
    for path in (ROOT / "data/sample").glob("*.csv"):
        (rows / path.name).write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:96]))
    convert = ["convert", f"--data_dir={rows}", f"--output_dir={tmp_path}/data"]
    done = WarmProcess([*convert, "--tokenizer_name_or_path=data/tiny_bert_zh"], ROOT).finish()
    assert done.returncode == 0, done.stderr
    script = ROOT / "tests/examples/own_model.py"
    done = WarmProcess([f"{tmp_path}/data", f"{tmp_path}/model"], ROOT, script=script).finish()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model/best/heads.safetensors").exists()
