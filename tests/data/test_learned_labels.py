"""Labels from the train file: which, in which order, and when there are none to learn."""

import json
from pathlib import Path

import pytest

from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import FROM_DATA, TNEWS, Task, load_tasks, require_labels, task_from_json

GIVEN = {"name": "A", "first_sequence": "text", "label_enumerate_values": FROM_DATA}
TASK = task_from_json(GIVEN)


def learned(folder: Path, labels: list[str], task: Task = TASK) -> tuple[str, ...]:
    text = "".join(json.dumps({"text": "天", "label": label}, ensure_ascii=False) + "\n" for label in labels)
    (folder / "A_train.jsonl").write_text(text, encoding="utf-8")
    return with_labels((task,), str(folder))[0].label_enumerate_values


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["坏", "好", "B", "a"], ("B", "a", "坏", "好")),
        (["02", "1", "2"], ("1", "02", "2")),
    ],
)
def test_the_order_depends_on_the_labels_alone(tmp_path: Path, labels: list[str], found: tuple[str, ...]) -> None:
    assert learned(tmp_path, labels) == learned(tmp_path, labels[::-1]) == found


def test_the_log_shows_them_and_other_tasks_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learned(tmp_path, ["b", "a", "b"])
    with caplog.at_level("INFO"):
        tasks = with_labels((TNEWS, TASK), str(tmp_path))
    assert tasks[0] is TNEWS and tasks[1].num_labels == 2
    assert f"A: 2 labels from data, {tmp_path / 'A_train.jsonl'}: a (1), b (2)" in caplog.text
    assert with_labels((TNEWS,), str(tmp_path / "none")) == (TNEWS,)


def test_names_of_labels_fit_what_was_learned(tmp_path: Path) -> None:
    named = task_from_json({**GIVEN, "label_names": {"a": "好"}})
    assert learned(tmp_path, ["a", "b"], named) == ("a", "b")
    with pytest.raises(UserError, match="label_names has 'a', which is no label; the labels are b, c"):
        learned(tmp_path, ["c", "b"], named)


def test_several_labels_a_row(tmp_path: Path) -> None:
    task = task_from_json({**GIVEN, "type": "multi_label", "label_separator": "|"})
    assert task.learns_labels and learned(tmp_path, ["b|a", "", "c"], task) == ("a", "b", "c")
    assert learned(tmp_path, ["a", ""], task) == ("a",)
    with pytest.raises(UserError, match="are all None; there must be 1 or more"):
        learned(tmp_path, ["", ""], task)
    assert not task_from_json({"name": "S", "first_sequence": "text", "type": "score"}).learns_labels


def test_bad_rows_are_left_to_others(tmp_path: Path) -> None:
    assert learned(tmp_path, ["a", "", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a"], "column 'label', are all 'a'; there must be 2 or more to learn"),
        (
            [f"text {number}" for number in range(1100)],
            "look like texts: 1,001 different ones in 1,001 rows, such as 'text 1000'",
        ),
        (["a", "x" * 300], "look like texts: 2 different ones in 2 rows.*Name the label's column as label_name"),
        ([""], "the label is missing"),
        ([], "is empty"),
    ],
)
def test_nothing_to_learn(tmp_path: Path, labels: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        learned(tmp_path, labels)
    with pytest.raises(UserError, match="has no train file of A; looked for A_train.csv"):
        with_labels((TASK,), str(tmp_path.parent / tmp_path.name / ".."))


def test_a_task_keeps_that_it_asks_until_they_are_learned(tmp_path: Path) -> None:
    assert TASK.to_json()["label_enumerate_values"] == FROM_DATA
    assert task_from_json(TASK.to_json()) == TASK and TASK.learns_labels
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps({"tasks": [GIVEN]}), encoding="utf-8")
    with pytest.raises(UserError, match='A: its labels are "from data", and this command reads no train file'):
        require_labels(load_tasks(path))
    for nothing in ([], ""):
        with pytest.raises(UserError, match='label_enumerate_values is empty; list the labels, or write "from data"'):
            task_from_json({**GIVEN, "label_enumerate_values": nothing})
