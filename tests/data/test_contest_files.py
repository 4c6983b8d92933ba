"""The contest's files are found under every name they go by."""

from pathlib import Path

import pytest

from easytransfer_mtl.data.contest_files import (
    find_files,
    find_labelled,
    find_test_files,
    parse_task_paths,
    recognized_files,
    require_dev_files,
    require_files,
)
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS, TNEWS, Task


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
        ("train", "{}_train1120.csv"),
        ("train", "{}_train1128.tsv"),
        ("train", "tianchi_datasets/{}/total.csv"),
        ("train", "tianchi_datasets/{}/train.csv"),
        ("train", "tcdata/nlp_round1_data/{}_train.csv"),
        ("train", "nlp_round1_data/{}_train1128.csv"),
        ("train", "{}/{}_train1128.csv"),
        ("dev", "tianchi_datasets/{}/dev.csv"),
        ("test", "tianchi_datasets/{}/test.csv"),
        ("b", "b/{}_test_B.csv"),
        ("b", "b/{}_test.csv"),
        ("b", "b/{}/test.csv"),
        ("b", "tcdata/nlp_round2_data/{}_test.csv"),
        ("b", "nlp_round2_data/{}_test_B.csv"),
        ("a", "a/{}_a.csv"),
        ("a", "nlp_round1_data/{}_a.csv"),
        ("a", "tcdata/nlp_round1_data/{}_test.csv"),
        ("a", "nlp_round2_data/{}_a.tsv"),
        ("train", "{}/train.csv"),
        ("train", "{}/total.csv"),
        ("train", "{}_train.jsonl"),
        ("train", "{}/train.json"),
        ("train", "{}/train.50k.json"),
        ("dev", "{}_dev.ndjson"),
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
    names = {task.name: case(name.replace("{}", task.name)) for task in CONTEST_TASKS}
    make(tmp_path, *names.values())
    assert found(tmp_path, kind) == names
    others = {"train", "dev", "test", "a", "b"} - {kind}
    assert not any(found(tmp_path, other) for other in others)


def test_the_first_name_of_the_table_wins(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train1128.csv", "TNEWS_train.csv", "TNEWS/train.csv")
    assert found(tmp_path, "train") == {"TNEWS": "TNEWS_train.csv"}


def test_folders_deeper_names_and_other_endings_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "TNEWS_train.csv").mkdir()
    make(tmp_path, "deep/er/OCNLI_train.csv", "OCEMOTION_train.csv.gz", "OCEMOTION_train.txt", "backup/TNEWS_train.csv")
    make(tmp_path, "b/old/TNEWS_train.csv", "TNEWS_train_clean.csv", "TNEWS_predictions.csv", "my_TNEWS_train.csv")
    assert found(tmp_path, "train") == {}


def test_missing_tasks_are_named_with_the_names_looked_for(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv")
    with pytest.raises(UserError) as caught:
        require_files(tmp_path, "train", CONTEST_TASKS)
    assert "no train file of OCEMOTION, OCNLI" in str(caught.value)
    assert "OCEMOTION_train.csv or OCEMOTION_train1128.csv" in str(caught.value)


def test_a_file_that_must_be_unpacked_or_renamed_is_named(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv", "OCNLI_train.csv", "OCEMOTION_train1128.csv.gz")
    with pytest.raises(UserError, match="There is OCEMOTION_train1128.csv.gz"):
        require_files(tmp_path, "train", CONTEST_TASKS)


def make_different(folder: Path, *names: str) -> None:
    make(folder, *names)
    for number, name in enumerate(names):
        (folder / name).write_text(f"{number}\tdifferent\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("train", ("OCNLI_train.csv", "OCNLI_train1128.csv")),
        ("train", ("OCNLI_train1120.csv", "OCNLI_train1128.csv")),
        ("train", ("OCNLI_train.csv", "OCNLI/train.csv")),
        ("train", ("OCNLI_train.csv", "ocnli_TRAIN.csv")),
        ("train", ("OCNLI_train.csv", "OCNLI_train.tsv")),
        ("train", ("OCNLI_train.csv", "OCNLI_train.jsonl")),
        ("train", ("OCNLI/train.50k.json", "OCNLI/train.3k.json")),
        ("dev", ("OCNLI_dev.csv", "tianchi_datasets/OCNLI/dev.csv")),
        ("b", ("OCNLI_b.csv", "b/ocnli_test_B.csv")),
        ("b", ("ocnli_test_B.csv", "b/ocnli_test_B.csv")),
        ("a", ("OCNLI_a.csv", "OCNLI_test_a.csv")),
    ],
)
def test_two_files_of_a_kind_that_differ_are_both_named(tmp_path: Path, kind: str, names: tuple[str, str]) -> None:
    make_different(tmp_path, *names)
    with pytest.raises(UserError, match=f"several {kind} files of OCNLI that differ") as caught:
        find_files(tmp_path, kind, CONTEST_TASKS)
    assert all(f"{name} (12 bytes)" in str(caught.value) for name in names)
    (tmp_path / names[1]).write_bytes((tmp_path / names[0]).read_bytes())
    assert len(found(tmp_path, kind)) == 1


def test_json_that_is_no_lines_is_no_table_beside_one(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv", "TNEWS_train.json")
    (tmp_path / "TNEWS_train.json").write_text("[{}]", encoding="utf-8")
    assert found(tmp_path, "train") == {"TNEWS": "TNEWS_train.csv"}
    (tmp_path / "TNEWS_train.csv").unlink()
    assert found(tmp_path, "train") == {"TNEWS": "TNEWS_train.json"}  # whose reader says what is wrong with it


def test_names_beyond_ascii_in_any_form(tmp_path: Path) -> None:
    task = Task("Émotion情感", (), "text", ("0", "1"))
    names = ("émotion情感_train.csv", "E\u0301motion情感_dev.csv", f"{task.file_name}_test.csv", "émotion情感/a.jsonl")
    make(tmp_path, *names)
    for kind, name in zip(("train", "dev", "test"), names):
        assert [path.name for path in find_files(tmp_path, kind, (task,)).values()] == [name]
    assert find_files(tmp_path, "a", (task,))[task.name].name == "a.jsonl"


def test_the_train_part_is_taken_where_all_rows_are_there_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_different(tmp_path, "TNEWS/total.csv", "TNEWS/train.csv", "TNEWS/dev.csv")
    with caplog.at_level("INFO"):
        train, dev = find_labelled(tmp_path, (TNEWS,))
    assert (train, dev) == ({"TNEWS": tmp_path / "TNEWS/train.csv"}, {"TNEWS": tmp_path / "TNEWS/dev.csv"})
    assert f"{tmp_path / 'TNEWS/total.csv'} is not read: {tmp_path / 'TNEWS/train.csv'} is there" in caplog.text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("TNEWS/total.csv", "TNEWS/dev.csv"), "has all rows by its name"),
        (("TNEWS_train1128.csv", "TNEWS/dev.csv"), "lie in different folders"),
        (("tianchi_datasets/TNEWS/train.csv", "TNEWS_dev.csv"), "lie in different folders"),
    ],
)
def test_train_and_dev_of_different_splits_are_not_mixed(tmp_path: Path, names: tuple[str, str], message: str) -> None:
    make_different(tmp_path, *names)
    with pytest.raises(UserError, match=message) as caught:
        find_labelled(tmp_path, (TNEWS,))
    assert all(str(tmp_path / name) in str(caught.value) for name in names)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data_dir .*none is not a folder"):
        find_files(tmp_path / "none", "train", CONTEST_TASKS)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("{}_test.csv", "{}_test_b.csv", "{}_a.csv"), "test"),
        (("{}_test_B.csv", "{}_a.csv"), "b"),
        (("b/{}_test_B.csv", "{}_a.csv"), "b"),
        (("nlp_round1_data/{}_a.csv", "nlp_round2_data/{}_test_B.csv"), "b"),
        (("{}_a.csv",), "a"),
    ],
)
def test_auto_takes_test_then_b_then_a_and_says_so(
    tmp_path: Path, names: tuple[str, ...], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, *(name.format(task.name) for name in names for task in CONTEST_TASKS))
    with caplog.at_level("INFO"):
        assert find_test_files(tmp_path, "auto", CONTEST_TASKS) == find_files(tmp_path, kind, CONTEST_TASKS)
    assert len(caplog.messages) == len(names) - 1
    for message in caplog.messages:
        assert f"board {kind} is taken" in message and "the first of test, b, a" in message and "--board=" in message
    assert find_test_files(tmp_path, kind, CONTEST_TASKS) == find_files(tmp_path, kind, CONTEST_TASKS)


@pytest.mark.parametrize(("first", "second"), [("{}_test.csv", "{}_a.csv"), ("b/{}_test_B.csv", "{}_a.csv")])
def test_a_board_that_a_task_lacks_is_not_silently_replaced_by_another(tmp_path: Path, first: str, second: str) -> None:
    make(tmp_path, first.format("TNEWS"), first.format("OCEMOTION"), *(second.format(task.name) for task in CONTEST_TASKS))
    with pytest.raises(UserError, match="has no file of OCNLI of board ") as caught:
        find_test_files(tmp_path, "auto", CONTEST_TASKS)
    assert first.format("TNEWS") in str(caught.value) and "--board=a takes it" in str(caught.value)
    assert find_test_files(tmp_path, "a", CONTEST_TASKS) == find_files(tmp_path, "a", CONTEST_TASKS)


def test_a_later_board_that_a_task_lacks_does_not_matter(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_a.csv", *(f"b/{task.name}_test_B.csv" for task in CONTEST_TASKS))
    assert find_test_files(tmp_path, "auto", CONTEST_TASKS) == find_files(tmp_path, "b", CONTEST_TASKS)
    with pytest.raises(UserError, match="no a file of OCEMOTION, OCNLI"):
        find_test_files(tmp_path, "a", CONTEST_TASKS)


@pytest.mark.parametrize(("complete", "half"), [("{}_a.csv", "{}_test_B.csv"), ("{}_test_B.csv", "{}_a.csv")])
def test_of_the_other_boards_only_complete_ones_are_offered(
    tmp_path: Path, complete: str, half: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, half.format("OCNLI"), *(complete.format(task.name) for task in CONTEST_TASKS))
    whole, part = ("a", "b") if complete == "{}_a.csv" else ("b", "a")
    offered, lacking = f"): --board={whole} takes it", f"Board {part} is there ({half.format('OCNLI')}): no file of TNEWS"
    for board, needed in (("test", (offered, lacking)), (part, (offered,))):
        with pytest.raises(UserError, match=f"has no {board} file of TNEWS, OCEMOTION") as caught:
            find_test_files(tmp_path, board, CONTEST_TASKS)
        assert all(words in str(caught.value) for words in needed)
        assert f"--board={part}" not in str(caught.value)
    if part == "a":
        with caplog.at_level("INFO"):
            find_test_files(tmp_path, "auto", CONTEST_TASKS)
        assert lacking in caplog.text and "--board=a" not in caplog.text


def test_auto_that_finds_nothing_names_every_kind(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv", "TNEWS_a.csv.gz")
    with pytest.raises(UserError) as caught:
        find_test_files(tmp_path, "auto", CONTEST_TASKS)
    for name in ("TNEWS_test.csv", "TNEWS_test_b.csv", "TNEWS_a.csv", "There is TNEWS_a.csv.gz"):
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


def test_dev_rows_that_convert_split_off_are_dev_files_for_scoring_only(tmp_path: Path) -> None:
    names = [f"{task.name}/{task.name}_train1128_dev_part.csv" for task in CONTEST_TASKS[1:]]
    make(tmp_path, "TNEWS/total_dev_part.csv", *names)
    scored = require_dev_files(tmp_path, CONTEST_TASKS)
    assert [path.relative_to(tmp_path).as_posix() for path in scored.values()] == ["TNEWS/total_dev_part.csv", *names]
    assert found(tmp_path, "dev") == {}
    make(tmp_path, "TNEWS_dev.csv")
    assert require_dev_files(tmp_path, CONTEST_TASKS)["TNEWS"] == tmp_path / "TNEWS_dev.csv"
    (tmp_path / names[0]).unlink()
    with pytest.raises(UserError, match="has no dev file of OCEMOTION, OCNLI; looked for OCEMOTION_dev.csv"):
        require_dev_files(tmp_path, CONTEST_TASKS)


def test_all_files_of_a_task(tmp_path: Path) -> None:
    make(tmp_path, "TNEWS_train.csv", "TNEWS_dev.csv", "b/TNEWS_test.csv", "OCNLI_train.csv", "TNEWS_other.csv")
    names = {path.relative_to(tmp_path).as_posix() for path in recognized_files(tmp_path, TNEWS)}
    assert names == {"TNEWS_train.csv", "TNEWS_dev.csv", "b/TNEWS_test.csv"}
