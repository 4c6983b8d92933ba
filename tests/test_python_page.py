"""docs/python.md and the walk of README and notebook: their code runs, and the page names everything that is exported."""

import json
import re
from pathlib import Path

import pytest
from warm_processes import WarmProcess

import easytransfer_mtl

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/python.md"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the encoder of the quick start and the first rows of its data."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tiny_bert_zh").symlink_to(ROOT / "data/tiny_bert_zh")
    sample = tmp_path / "data/sample"
    sample.mkdir()
    for path in (ROOT / "data/sample").glob("*.csv"):
        (sample / path.name).write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:64]))
    return tmp_path


def test_the_walk_runs_and_the_notebook_is_the_same(repository: Path) -> None:
    walk = (ROOT / "tests/examples/walk.py").read_text(encoding="utf-8")
    cells = json.loads((ROOT / "docs/walk.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert "\n\n".join(code) + "\n" == walk
    settings = json.loads((ROOT / "run_scripts/config/quickstart.json").read_text(encoding="utf-8"))
    settings["train_config"] |= {"num_epochs": 1, "save_steps": 0}
    (repository / "run_scripts/config").mkdir(parents=True)
    (repository / "run_scripts/config/quickstart.json").write_text(json.dumps(settings), encoding="utf-8")
    done = WarmProcess([], repository, script=ROOT / "tests/examples/walk.py").finish()
    assert done.returncode == 0 and "Result(task='OCEMOTION', label=" in done.stdout, done.stderr
    assert (repository / "runs/walk/submission/result.zip").is_file()


def test_its_code_runs(repository: Path) -> None:
    convert = ["convert", "--data_dir=data/sample", "--output_dir=runs/quickstart/data"]
    done = WarmProcess([*convert, "--tokenizer_name_or_path=data/tiny_bert_zh"], repository).finish()
    assert done.returncode == 0, done.stderr
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (repository / "page.py").write_text(code, encoding="utf-8")
    done = WarmProcess([], repository, script=repository / "page.py").finish()
    assert done.returncode == 0 and "'ocnli_logits': TensorShape([1, 3])" in done.stdout, done.stderr


def test_every_exported_name_is_explained() -> None:
    named = set(re.findall(r"\w+", PAGE.read_text(encoding="utf-8")))
    assert set(easytransfer_mtl.__all__) <= named
