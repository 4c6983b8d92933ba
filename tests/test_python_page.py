"""docs/python.md: its code runs, and it names everything that the package exports."""

import re
from pathlib import Path

from warm_processes import WarmProcess

import easytransfer_mtl

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/python.md"


def test_its_code_runs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tiny_bert_zh").symlink_to(ROOT / "data/tiny_bert_zh")
    sample = tmp_path / "data/sample"
    sample.mkdir()
    for path in (ROOT / "data/sample").glob("*.csv"):
        (sample / path.name).write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:64]))
    convert = ["convert", "--data_dir=data/sample", "--output_dir=runs/quickstart/data"]
    done = WarmProcess([*convert, "--tokenizer_name_or_path=data/tiny_bert_zh"], tmp_path).finish()
    assert done.returncode == 0, done.stderr
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    done = WarmProcess([], tmp_path, script=tmp_path / "page.py").finish()
    assert done.returncode == 0 and "'ocnli_logits': TensorShape([1, 3])" in done.stdout, done.stderr


def test_every_exported_name_is_explained() -> None:
    named = set(re.findall(r"\w+", PAGE.read_text(encoding="utf-8")))
    assert set(easytransfer_mtl.__all__) <= named
