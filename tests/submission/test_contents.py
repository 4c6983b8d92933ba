"""Every rule about names, archives and sizes, with a submission that passes it and one that does not."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from easytransfer_mtl.submission import contents
from easytransfer_mtl.submission.checker import CheckReport, check_submission, report_text
from easytransfer_mtl.submission.writer import package
from easytransfer_mtl.tasks import CONTEST_TASKS


def zip_of(path: Path, entries: Sequence[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def entries_of(folder: Path) -> dict[str, bytes]:
    return {task.submission_file: (folder / task.submission_file).read_bytes() for task in CONTEST_TASKS}


def checked(source: Path, tests: dict[str, Path]) -> CheckReport:
    return check_submission(source, CONTEST_TASKS, tests)


def the_error(report: CheckReport) -> str:
    assert len(report.errors) == 1, report_text(report)
    return report.errors[0]


def test_missing_file(good: Path, tests: dict[str, Path]) -> None:
    (good / "ocnli_predict.json").unlink()
    assert "ocnli_predict.json: is missing. The submission needs exactly" in the_error(checked(good, tests))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tnews_predict.json.json", "twice"),
        ("TNEWS_predict.json", "upper and lower case count"),
        ("tnews_predict.txt", "rename it"),
        ("submission/tnews_predict.json", "at the root of the archive"),
        ("submission/tnews_predict.json.json", "at the root .* and the ending .json stands there twice"),
        ("submission\\tnews_predict.json", "at the root"),
    ],
)
def test_wrong_names_in_an_archive(tmp_path: Path, good: Path, tests: dict[str, Path], name: str, hint: str) -> None:
    entries = entries_of(good)
    entries[name] = entries.pop("tnews_predict.json") + b"more\n"
    report = checked(zip_of(tmp_path / "result.zip", list(entries.items())), tests)
    assert report.warnings == ()
    name_error, *rest = report.errors
    assert name_error.startswith("tnews_predict.json: is missing, but there is")
    assert re.search(hint, name_error)
    assert any("line 31 is not JSON" in error for error in rest), "the misnamed file is checked too"


def test_wrong_name_in_a_folder(good: Path, tests: dict[str, Path]) -> None:
    (good / "tnews_predict.json").rename(good / "tnews_predict.json.json")
    assert "twice" in the_error(checked(good, tests))


def test_extra_entries_only_warn(tmp_path: Path, good: Path, tests: dict[str, Path]) -> None:
    extra = [("__MACOSX/._tnews_predict.json", b"\0"), ("notes.txt", b"")]
    report = checked(zip_of(tmp_path / "result.zip", [*entries_of(good).items(), *extra]), tests)
    assert report.ok
    assert [name in warning for (name, _), warning in zip(extra, report.warnings, strict=True)] == [True, True]
    (good / "notes.txt").write_bytes(b"")
    assert checked(good, tests).warnings == ()


def test_no_archive(tmp_path: Path, tests: dict[str, Path]) -> None:
    path = tmp_path / "result.zip"
    path.write_bytes(b"<html>")
    assert "cannot be read as a zip archive" in the_error(checked(path, tests))


def test_damaged_archive(good: Path, tests: dict[str, Path]) -> None:
    path = package(good, CONTEST_TASKS)
    data = bytearray(path.read_bytes())
    data[60:64] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    assert "ocemotion_predict.json: cannot be unpacked" in the_error(checked(path, tests))


def test_unsafe_and_repeated_entries(tmp_path: Path, good: Path, tests: dict[str, Path]) -> None:
    bad = [("../evil.txt", b""), ("/etc/evil", b""), ("C:evil", b""), ("a/../../evil", b""), ("..name/is..fine", b"")]
    report = checked(zip_of(tmp_path / "result.zip", [*entries_of(good).items(), *bad]), tests)
    assert len(report.errors) == 4
    assert all("outside the folder" in error for error in report.errors)
    with pytest.warns(UserWarning, match="Duplicate"):
        zip_of(tmp_path / "result.zip", [*entries_of(good).items(), ("tnews_predict.json", b"")])
    assert "holds 'tnews_predict.json' 2 times" in checked(tmp_path / "result.zip", tests).errors[0]


def test_size_limit(tmp_path: Path, good: Path, tests: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "result.zip", [*entries_of(good).items(), ("zeros", bytes(1 << 20))])
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(contents, "MAX_BYTES", 1 << 20)
    assert "unpacks to 1,0" in the_error(checked(path, tests))
    assert checked(good, tests).ok
    monkeypatch.setattr(contents, "MAX_BYTES", 100)
    assert "more than 100" in the_error(checked(good, tests))
