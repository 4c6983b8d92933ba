"""The command report: folders in, a page out, without TensorFlow; refusals before anything is written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.commands import report
from easytransfer_mtl.config.study_settings import ReportSettings
from easytransfer_mtl.errors import UserError

ROOT = Path(__file__).parents[2]


def test_folders_without_flags_and_no_tensorflow(make_run: Callable[..., Path], tmp_path: Path) -> None:
    runs, output = [make_run(name, seed) for name, seed in (("a", 2), ("b", 3))], tmp_path / "new/page.html"
    code = (
        "import sys; from easytransfer_mtl.__main__ import main; status = main();"
        "assert not {'tensorflow', 'transformers', 'tf_keras', 'matplotlib'} & set(sys.modules); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "report", *map(str, runs), f"--output={output}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, f"{output}\n"), done.stderr
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_pages_go_into_the_first_folder_and_replace_earlier_ones(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = make_run("a,b"), make_run("c", 3)
    for _ in range(2):
        assert report.run(ReportSettings(runs=str(one))) == 0  # a folder may have a comma in its name
    assert capsys.readouterr().out == f"{one / 'report.html'}\n" * 2
    second = make_run("d", 4)
    assert report.run(ReportSettings(runs=f"{other}, {second}")) == 0
    assert (other / "comparison.html").is_file() and not (second / "comparison.html").exists()


def test_refused_runs_and_places(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run("a")
    for runs, output, message in (
        (f"{run},", None, "--runs has an empty entry"),
        (f"{run},{run}/../a", None, "a, .*a is given twice|is given twice"),
        (",".join(f"{tmp_path}/r{number}" for number in range(21)), None, "--runs has 21 folders; at most 20 are taken"),
        (f"{run},{tmp_path}/gone", None, "gone is not there"),
        (str(run), str(run / "metrics.csv"), "metrics.csv would be written over .*, which is read"),
        (str(run), str(run / "evaluation/best/rows.csv"), "rows.csv would be written over"),
        (str(run), str(run), "cannot be written: it is a folder"),
        (str(run), str(run / "config.json/page.html"), "is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            report.run(ReportSettings(runs=runs, output=output))
    assert not list(tmp_path.rglob("*.html"))
