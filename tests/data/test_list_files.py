"""List files, and which task each of their files belongs to."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from easytransfer_mtl.data.list_files import TaskFile, check_vocabulary, read_list, task_files
from easytransfer_mtl.data.manifest import Manifest, write_manifest
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, OCNLI, TNEWS, Task

VOCABULARY = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])


def manifest(task: Task) -> Manifest:
    return Manifest(task, 0, True, 128, "none", VOCABULARY.sha256, len(VOCABULARY), "x.csv", "0" * 64)


def make(path: Path, task: Task | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    if task:
        write_manifest(path, manifest(task))
    return path


def make_list(folder: Path, *lines: str | Path, name: str = "train.list_tfrecord") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def names(path: Path, tasks: tuple[Task, ...] = CONTEST_TASKS) -> list[str]:
    return [item.task.name for item in task_files(path, tasks)]


def test_lines_are_paths_in_order(tmp_path: Path) -> None:
    files = [make(tmp_path / name) for name in ("c.tfrecord", "a.tfrecord", "b.tfrecord")]
    assert read_list(make_list(tmp_path, *files)) == files


def test_the_mark_may_stand_anywhere_in_the_name(tmp_path: Path) -> None:
    file = make(tmp_path / "a.tfrecord")
    assert read_list(make_list(tmp_path, file, name="my.list_tfrecord.txt")) == [file]


def test_another_name_is_one_file(tmp_path: Path) -> None:
    file = make(tmp_path / "a.tfrecord")
    assert read_list(file) == [file]


@pytest.mark.parametrize(
    "lines", [("", "a.tfrecord"), ("a.tfrecord", "", "  "), ("180", "a.tfrecord"), ("  a.tfrecord \r",)]
)
def test_blank_and_count_lines_are_passed_over(
    tmp_path: Path, lines: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    file = make(tmp_path / "a.tfrecord")
    with caplog.at_level(logging.WARNING):
        assert read_list(make_list(tmp_path, *lines)) == [file]
    assert ("passed over" in caplog.text) == (len(lines) > 1)


def test_relative_lines_are_looked_for_here_then_beside_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, here = make(tmp_path / "data" / "a.tfrecord"), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    path = make_list(tmp_path / "data", "a.tfrecord")
    assert [file.resolve() for file in read_list(path)] == [beside]
    make(here / "a.tfrecord")
    assert [file.resolve() for file in read_list(path)] == [here / "a.tfrecord"]


def test_a_byte_order_mark_is_no_part_of_a_path(tmp_path: Path) -> None:
    file = make(tmp_path / "a.tfrecord")
    path = tmp_path / "train.list_tfrecord"
    path.write_bytes(b"\xef\xbb\xbf" + str(file).encode() + b"\r\n")
    assert read_list(path) == [file]


def test_missing_files_and_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="list file .*none.list_tfrecord does not exist"):
        read_list(tmp_path / "none.list_tfrecord")
    with pytest.raises(UserError, match="TFRecord file .*none.tfrecord does not exist. Run convert first"):
        read_list(tmp_path / "none.tfrecord")
    with pytest.raises(UserError, match="train.list_tfrecord: TFRecord file none.tfrecord does not exist"):
        read_list(make_list(tmp_path, "none.tfrecord"))


@pytest.mark.parametrize("lines", [(), ("", ""), ("180",)])
def test_a_list_without_files_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="is empty; it needs one TFRecord path per line"):
        read_list(make_list(tmp_path, *lines))


def test_a_list_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.list_tfrecord"
    path.write_bytes(b"\x18\x00\xff\xfe\xff")
    with pytest.raises(UserError, match="train.list_tfrecord is not UTF-8"):
        read_list(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.tfrecord\n\x01\x02.tfrecord\n", r"line 2 can be no path \('\\x01\\x02.tfrecord'\)"),
        (b"a\0b.tfrecord\n", r"line 1 can be no path \('a\\x00b"),
        (b"\x1b[31m.tfrecord\n", "line 1 can be no path"),
        (b"a" * 5000, "line 1 can be no path"),
        (b"a" * 300 + b".tfrecord", "does not exist"),
        (b"folder\n", "TFRecord file folder is a folder, not a file"),
        (b"a.tfrecord\n" * 200_000, "has 2,200,000 bytes, at most 1,048,576 are read"),
        ("a.tfrecord\n".encode("utf-16"), "is not UTF-8"),
        (b'{"files": ["a.tfrecord"]}', "does not exist"),
    ],
)
def test_a_list_of_something_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    make(tmp_path / "a.tfrecord")
    (tmp_path / "folder").mkdir()
    (tmp_path / "train.list_tfrecord").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_list(tmp_path / "train.list_tfrecord")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 800


def test_the_manifest_says_the_task_whatever_name_and_place_say(tmp_path: Path) -> None:
    files = [make(tmp_path / name, task) for name, task in (("tnews", OCNLI), ("x", OCEMOTION), ("ocnli", TNEWS))]
    assert names(make_list(tmp_path, *files)) == ["OCNLI", "OCEMOTION", "TNEWS"]


def test_without_manifest_the_name_says_it(tmp_path: Path) -> None:
    files = [make(tmp_path / name) for name in ("OCNLI/train.tfrecord", "tnews_dev.tfrecord", "my_OcEmotion.tfrecord")]
    assert names(make_list(tmp_path, *files)) == ["OCNLI", "TNEWS", "OCEMOTION"]


def test_the_files_own_name_goes_before_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "tnews_and_ocnli" / "ocnli" / "tnews_old"
    files = [make(folder / name) for name in ("OCNLI.tfrecord", "train.tfrecord", "OCEMOTION.tfrecord")]
    assert names(make_list(tmp_path, *files)) == ["OCNLI", "TNEWS", "OCEMOTION"]


def test_without_both_the_place_says_it_and_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [make(tmp_path / name) for name in ("a", "b", "c")]
    with caplog.at_level(logging.WARNING):
        assert names(make_list(tmp_path, *files)) == ["TNEWS", "OCEMOTION", "OCNLI"]
    for file, task in zip(files, CONTEST_TASKS):
        assert f"{file} has no manifest: taken as {task.name}" in caplog.text


def test_more_files_than_tasks(tmp_path: Path) -> None:
    files = [make(tmp_path / name) for name in "abcd"]
    with pytest.raises(UserError, match="no manifest, no task's name in its path, and no task for place 4"):
        names(make_list(tmp_path, *files))


def test_two_files_of_one_task_are_refused(tmp_path: Path) -> None:
    files = [make(tmp_path / "a", TNEWS), make(tmp_path / "b", TNEWS)]
    with pytest.raises(UserError, match="two files have the same task: .*a is TNEWS, .*b is TNEWS"):
        names(make_list(tmp_path, *files))


def test_a_task_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path / "a", replace(TNEWS, name="other"))
    with pytest.raises(UserError, match="No task is called 'other'"):
        names(make_list(tmp_path, file))


def test_another_label_order_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path / "a", replace(OCNLI, label_enumerate_values=("0", "2", "1")))
    with pytest.raises(UserError, match="made with the labels 0,2,1 of OCNLI, the model has 0,1,2"):
        names(make_list(tmp_path, file))


def test_another_vocabulary_is_refused() -> None:
    file = TaskFile(OCNLI, Path("a.tfrecord"), manifest(OCNLI))
    check_vocabulary(file, VOCABULARY, "here")
    check_vocabulary(replace(file, manifest=None), Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "b"]), "here")
    with pytest.raises(UserError, match=r"a.tfrecord was made with another vocabulary \(5 tokens.*model's \(6 tokens"):
        check_vocabulary(file, Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"]), "here")


def test_easytransfers_files_are_warned_of_where_its_ids_are_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = TaskFile(TNEWS, tmp_path / "tnews.tfrecord", None)
    check_vocabulary(file, VOCABULARY, "here")
    assert not caplog.records
    check_vocabulary(file, Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "a", "b"]), "here")
    assert "if EasyTransfer wrote it, its ids are not the model" in caplog.text


def test_a_file_made_from_other_text_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "OCNLI.tfrecord"
    path.write_bytes(b"")
    swapped = replace(OCNLI, first_sequence="sentence2", second_sequence="sentence1")
    for other in (swapped, replace(OCNLI, second_sequence=None)):
        write_manifest(path, Manifest(other, 0, True, 16, "none", "0" * 64, 5, "a.csv", "0" * 64))
        with pytest.raises(UserError, match="prediction would read other texts"):
            task_files(path, (OCNLI,))
    renamed = replace(
        OCNLI, columns=("id", "a", "b", "y"), first_sequence="a", second_sequence="b", label_name="y", id_column="id"
    )
    write_manifest(path, Manifest(renamed, 0, True, 16, "none", "0" * 64, 5, "a.csv", "0" * 64))
    assert task_files(path, (OCNLI,))[0].task == OCNLI
