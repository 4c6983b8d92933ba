"""docs/data.md: its tasks, tables, commands and code are as the page says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from warm_processes import WarmSession

from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import load_tasks

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")


def block(language: str, having: str = "") -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(each for each in blocks if having in each)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's tasks and tables, and the encoder."""
    (tmp_path / "DATA_DIR").mkdir()
    (tmp_path / "tasks.json").write_text(block("json"), encoding="utf-8")
    (tmp_path / "DATA_DIR/REVIEW_train.csv").write_text(block("csv"), encoding="utf-8")
    (tmp_path / "DATA_DIR/情感_train.jsonl").write_text(block("jsonl"), encoding="utf-8")
    shutil.copytree(ROOT / "data/tiny_bert_zh", tmp_path / "data/tiny_bert_zh")
    return tmp_path


def test_its_commands_run(folder: Path) -> None:
    session = WarmSession()
    for line in block("bash", "tasks.json").replace("\\\n", "").splitlines():
        done = session.run(*shlex.split(line)[1:], cwd=folder)
        assert done.returncode == 0, done.stderr
    session.close()
    manifest = json.loads((folder / "runs/tables/data/REVIEW_train.tfrecord.manifest.json").read_text(encoding="utf-8"))
    assert manifest["task"]["label_enumerate_values"] == ["1", "3", "5"]
    assert (folder / "runs/tables/data/u60c5_u611f_train.tfrecord").is_file()


def test_its_sentence_is_the_programs(folder: Path) -> None:
    path = folder / "DATA_DIR/REVIEW_train.csv"
    path.write_text("text,label\n好吃,5\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_table(path, load_tasks(folder / "tasks.json")[0], labelled=True)
    assert str(caught.value).replace(f"{folder}/", "") in PAGE.replace("\n", " ")


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block("python"), {})
    assert (tmp_path / "runs/tables/REVIEW_train.jsonl").read_text(encoding="utf-8").count("\n") == 2
