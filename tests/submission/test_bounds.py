"""Archives that are made to take all memory or time are reported with little of both, and never as a traceback."""

import zipfile
from pathlib import Path

import pytest

from easytransfer_mtl.submission.checker import CheckReport, check_submission, report_text
from easytransfer_mtl.tasks import CONTEST_TASKS

NAMES = [task.submission_file for task in CONTEST_TASKS]


def checked(source: Path) -> CheckReport:
    report = check_submission(source, CONTEST_TASKS)
    assert not report.ok and len(report_text(report)) < 20_000
    return report


def zipped(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in NAMES:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("content", "kind"), [(b"\n", "lines"), (b"[", "not JSON"), (b"{}\n", "lines")])
def test_few_bytes_that_unpack_to_many_lines(content: bytes, kind: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "result.zip", content * (4 << 20 if kind == "lines" else 1 << 19))
    assert path.stat().st_size < 100_000
    assert all(kind in error for error in checked(path).errors if "predict" in error)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack(method: int, tmp_path: Path) -> None:
    errors = checked(zipped(tmp_path / "result.zip", b"{}\n", method)).errors
    assert len(errors) == 3 and all("not with deflate" in error for error in errors)


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    path = zipped(tmp_path / "result.zip", bytes(32 << 20))
    data = path.read_bytes().replace((32 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    assert all("cannot be unpacked" in error for error in checked(path).errors)


@pytest.mark.parametrize("name", ["", "\0", "a" * 60_000, "\u202e", "/", "//"])
def test_strange_names(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "result.zip", b"{}\n")
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, b"")
    checked(path)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = zipped(tmp_path / "result.zip", b"{}\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("\u4eca\u5929", b"")
    path.write_bytes(path.read_bytes().replace("\u4eca".encode(), b"\xff\xfe\xff"))
    assert "cannot be read as a zip archive" in checked(path).errors[0]


@pytest.mark.parametrize("value", ["9" * 5000, "9" * 4000, "1e400", "NaN", "[" * 500 + "]" * 500, '"\\ud800"', "true"])
def test_values_that_are_no_label(value: str, tmp_path: Path) -> None:
    line = f'{{"id": {value}, "label": {value}}}\n'
    checked(zipped(tmp_path / "result.zip", line.encode()))
