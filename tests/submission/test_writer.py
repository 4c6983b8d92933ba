"""The prediction files and the archive, byte for byte."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.submission.writer import package, write_predictions
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI, TNEWS

NAMES = ["ocemotion_predict.json", "ocnli_predict.json", "tnews_predict.json"]


def predictions_in(folder: Path) -> Path:
    for task in CONTEST_TASKS:
        write_predictions(folder / task.submission_file, ["0", "1"], list(task.label_enumerate_values[:2]))
    return folder


def test_bytes_of_a_prediction_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / "ocnli_predict.json", ["1500", "1501"], ["1", "0"])
    content = (tmp_path / "ocnli_predict.json").read_bytes()
    assert content == b'{"id": "1500", "label": "1"}\n{"id": "1501", "label": "0"}\n'


def test_a_prediction_file_is_ascii(tmp_path: Path) -> None:
    write_predictions(tmp_path / "x.json", ["0"], ["好"])
    assert (tmp_path / "x.json").read_bytes() == b'{"id": "0", "label": "\\u597d"}\n'


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [(["0", "1"], ["1"], "2 ids but 1 labels"), ([0], ["1"], "id 0 of row 0"), (["0", "1"], ["1", 2], "label 2 of row 1")],
)
def test_refused_predictions_leave_the_old_file(tmp_path: Path, ids: Any, labels: Any, message: str) -> None:
    path = tmp_path / "ocnli_predict.json"
    write_predictions(path, ["0"], ["1"])
    before = path.read_bytes()
    with pytest.raises(UserError, match=message):
        write_predictions(path, ids, labels)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_package_holds_the_files_at_its_root_and_nothing_else(tmp_path: Path) -> None:
    predictions_in(tmp_path)
    (tmp_path / "notes.txt").write_text("not for the contest", encoding="utf-8")
    path = package(tmp_path, CONTEST_TASKS)
    assert path == tmp_path / "result.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == NAMES
        assert all(info.compress_type == zipfile.ZIP_DEFLATED for info in archive.infolist())
        assert all(archive.read(name) == (tmp_path / name).read_bytes() for name in NAMES)
    assert not list(tmp_path.glob(".*"))


def test_package_is_deterministic(tmp_path: Path) -> None:
    first = package(predictions_in(tmp_path / "a"), CONTEST_TASKS)
    second = package(predictions_in(tmp_path / "b"), CONTEST_TASKS[::-1], zip_name="other.zip")
    assert second.name == "other.zip"
    assert first.read_bytes() == second.read_bytes()


def test_package_of_some_tasks(tmp_path: Path) -> None:
    with zipfile.ZipFile(package(predictions_in(tmp_path), [TNEWS])) as archive:
        assert archive.namelist() == ["tnews_predict.json"]


def test_package_refuses_a_missing_file_and_keeps_the_old_archive(tmp_path: Path) -> None:
    old = package(predictions_in(tmp_path), CONTEST_TASKS).read_bytes()
    for task in (OCNLI, TNEWS):
        (tmp_path / task.submission_file).unlink()
    with pytest.raises(UserError, match="ocnli_predict.json, tnews_predict.json missing"):
        package(tmp_path, CONTEST_TASKS)
    assert (tmp_path / "result.zip").read_bytes() == old
