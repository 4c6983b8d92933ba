"""The contest's files are found under every name they go by."""

from pathlib import Path

import pytest

from easytransfer_mtl.data.contest_files import find_files, find_test_files, parse_task_paths, require_files
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(folder: Path, kind: str) -> dict[str, str]:
    return {task: path.relative_to(folder).as_posix() for task, path in find_files(folder, kind, CONTEST_TASKS).items()}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("train", "{}_train.csv"),
        ("train", "{}_train1128.csv"),
        ("train", "{}/train.csv"),
        ("train", "{}/total.csv"),
        ("dev", "{}_dev.csv"),
        ("dev", "{}/dev.csv"),
        ("test", "{}_test.csv"),
        ("test", "{}/test.csv"),
        ("a", "{}_a.csv"),
        ("a", "{}_test_A.csv"),
        ("b", "{}_test_B.csv"),
        ("b", "{}_b.csv"),
    ],
)
@pytest.mark.parametrize("case", [str.upper, str.lower, str], ids=["upper", "lower", "mixed"])
def test_every_name_in_any_case(tmp_path: Path, kind: str, name: str, case: type[str]) -> None:
    names = {task.name: case(name.format(task.name)) for task in CONTEST_TASKS}
    make(tmp_path, *names.values())
    assert found(tmp_path, kind) == names
    others = {"train", "dev", "test", "a", "b"} - {kind}
    assert not any(found(tmp_path, other) for other in others)


def test_the_first_name_of_the_table_wins(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train1128.csv", "TNEWS_train.csv", "TNEWS/train.csv")
    assert found(tmp_path, "train") == {"TNEWS": "TNEWS_train.csv"}


def test_folders_deeper_names_and_other_endings_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "TNEWS_train.csv").mkdir()
    make(tmp_path, "deep/er/OCNLI_train.csv", "OCEMOTION_train.csv.gz", "OCEMOTION_train.txt")
    assert found(tmp_path, "train") == {}


def test_missing_tasks_are_named_with_the_names_looked_for(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv")
    with pytest.raises(UserError) as caught:
        require_files(tmp_path, "train", CONTEST_TASKS)
    assert "no train file of OCEMOTION, OCNLI" in str(caught.value)
    assert "OCEMOTION_train.csv or OCEMOTION_train1128.csv" in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data_dir .*none is not a folder"):
        find_files(tmp_path / "none", "train", CONTEST_TASKS)


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("{}_test.csv", "{}_test_b.csv", "{}_a.csv"), "test"), (("{}_test_B.csv", "{}_a.csv"), "b"), (("{}_a.csv",), "a")],
)
def test_auto_takes_test_then_b_then_a(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    make(tmp_path, *(name.format(task.name) for name in names for task in CONTEST_TASKS))
    assert find_test_files(tmp_path, "auto", CONTEST_TASKS) == find_files(tmp_path, kind, CONTEST_TASKS)
    assert find_test_files(tmp_path, kind, CONTEST_TASKS) == find_files(tmp_path, kind, CONTEST_TASKS)


def test_auto_passes_over_a_kind_that_a_task_lacks(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_test.csv", *(f"{task.name}_a.csv" for task in CONTEST_TASKS))
    assert find_test_files(tmp_path, "auto", CONTEST_TASKS) == find_files(tmp_path, "a", CONTEST_TASKS)


def test_auto_that_finds_nothing_names_every_kind(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_test.csv")
    with pytest.raises(UserError) as caught:
        find_test_files(tmp_path, "auto", CONTEST_TASKS)
    for name in ("TNEWS_test.csv", "TNEWS_test_b.csv", "TNEWS_a.csv"):
        assert name in str(caught.value)


def test_a_board_that_is_asked_for_is_not_replaced_by_another(tmp_path: Path) -> None:
    make(tmp_path, *(f"{task.name}_a.csv" for task in CONTEST_TASKS))
    with pytest.raises(UserError, match="no b file of TNEWS, OCEMOTION, OCNLI"):
        find_test_files(tmp_path, "b", CONTEST_TASKS)


def test_task_paths() -> None:
    found = parse_task_paths("tnews=a.csv, OCNLI = b=c.csv", CONTEST_TASKS)
    assert found == {"TNEWS": Path("a.csv"), "OCNLI": Path("b=c.csv")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.csv", "'a.csv' is not TASK=FILE"),
        ("TNEWS=", "is not TASK=FILE"),
        ("TNEWS= ", "is not TASK=FILE"),
        ("TNEWS=a.csv,", "'' is not TASK=FILE"),
        ("NEWS=a.csv", "No task is called 'NEWS'"),
        ("TNEWS=a.csv,tnews=b.csv", "TNEWS is given twice"),
    ],
)
def test_refused_task_paths(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_task_paths(text, CONTEST_TASKS)
