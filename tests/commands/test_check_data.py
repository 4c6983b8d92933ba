"""The check_data command: exit codes, JSON, and input that is no data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from easytransfer_mtl.commands.check_data import run
from easytransfer_mtl.config.data_settings import CheckDataSettings
from easytransfer_mtl.errors import UserError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data/sample"


def test_the_sample_passes_and_is_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(CheckDataSettings(data_dir=str(SAMPLE), json=str(tmp_path / "found.json"))) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert printed.endswith(f"{SAMPLE}: 0 errors, {found['warnings']} warnings, {found['notes']} notes\n")
    assert [(file["file"], file["rows"]) for file in found["files"]][:2] == [
        ("TNEWS_train.csv", 600),
        ("TNEWS_dev.csv", 120),
    ]
    assert len(found["findings"]) == found["warnings"] + found["notes"] > 0
    keys = {"level", "check", "message", "advice", "task", "file", "line", "count"}
    assert all(item.keys() == keys for item in found["findings"])
    assert printed.count("\nwarning: ") == found["warnings"] and printed.count("\nnote: ") == found["notes"]


def test_an_error_is_exit_code_1_and_needs_no_tensorflow(tmp_path: Path) -> None:
    for path in SAMPLE.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "TNEWS_dev.csv").write_bytes(b"")
    code = (
        "import sys\nfrom easytransfer_mtl.__main__ import main\n"
        f"status = main(['check_data', {str(tmp_path)!r}])\n"
        "assert not {'tensorflow', 'transformers', 'sklearn'} & set(sys.modules)\nsys.exit(status)\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert "error: TNEWS_dev.csv: the file is empty (0 bytes). Get the file again." in done.stdout


def test_the_json_never_lands_on_what_is_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "TNEWS_train.csv").write_bytes((SAMPLE / "TNEWS_train.csv").read_bytes())
    for output in (data / "TNEWS_train.csv", data, data / "TNEWS_train.csv/x.json"):
        with pytest.raises(UserError, match="written"):
            run(CheckDataSettings(data_dir=str(data), json=str(output)))
    assert (data / "TNEWS_train.csv").read_bytes() == (SAMPLE / "TNEWS_train.csv").read_bytes()


def test_a_folder_that_is_none_is_a_user_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="is not a folder|has no contest file"):
            run(CheckDataSettings(data_dir=str(path)))
