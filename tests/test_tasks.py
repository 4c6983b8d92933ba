"""What a task may be, the contest's three tasks, and tasks from a JSON file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import (
    CONTEST_TASKS,
    OCEMOTION,
    OCNLI,
    TNEWS,
    Task,
    check_tasks,
    load_tasks,
    task_from_json,
    task_named,
)

GOOD = {
    "name": "mine",
    "columns": ["id", "text", "label"],
    "first_sequence": "text",
    "id_column": "id",
    "label_enumerate_values": ["no", "yes"],
}


def test_the_contest_tasks_are_easytransfers_in_its_order() -> None:
    assert [task.name for task in CONTEST_TASKS] == ["TNEWS", "OCEMOTION", "OCNLI"]
    assert ",".join(TNEWS.label_enumerate_values) == "115,114,108,109,116,110,113,112,102,103,100,101,106,107,104"
    assert ",".join(OCEMOTION.label_enumerate_values) == "like,happiness,sadness,anger,disgust,fear,surprise"
    assert ",".join(OCNLI.label_enumerate_values) == "0,1,2"
    assert [task.num_labels for task in CONTEST_TASKS] == [15, 7, 3]
    assert TNEWS.columns == OCEMOTION.columns == ("idx", "sentence1", "label")
    assert OCNLI.columns == ("idx", "sentence1", "sentence2", "label")
    assert [bool(task.second_sequence) for task in CONTEST_TASKS] == [False, False, True]


def test_names_derived_from_a_task() -> None:
    assert (TNEWS.head_name, TNEWS.logits_name) == ("tnews_dense", "tnews_logits")
    assert OCNLI.submission_file == "ocnli_predict.json"
    assert OCNLI.unlabelled_columns == ("idx", "sentence1", "sentence2")


@pytest.mark.parametrize("task", CONTEST_TASKS, ids=lambda task: task.name)
def test_a_task_goes_to_json_and_back(task: Task) -> None:
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a-b"}, "letters, digits and _"),
        ({"name": "1a"}, "start with a letter"),
        ({"name": ""}, "letters"),
        ({"name": "../x"}, "letters, digits and _"),
        ({"name": "a/b"}, "letters, digits and _"),
        ({"name": "a\\b"}, "letters, digits and _"),
        ({"name": "a\n"}, "letters, digits and _"),
        ({"name": "a\0"}, "letters, digits and _"),
        ({"name": "任务！"}, "letters, digits and _"),
        ({"name": "任" * 40}, "too long for names of files"),
        ({"name": "a" * 5000}, "the name has 5,000 characters; at most 64"),
        ({"name": float("nan")}, "task nan: the name must be letters"),
        ({"name": {"a": 1}}, "the name must be letters"),
        ({"columns": ["id", "text", "label", ""]}, "columns has ''; each must be text"),
        ({"columns": ["id", "text", "label", "a\tb"]}, r"columns has 'a\\tb'"),
        ({"label_enumerate_values": ["no", "yes", ""]}, "label_enumerate_values has ''"),
        ({"label_enumerate_values": ["no", "y\nes"]}, r"label_enumerate_values has 'y\\nes'"),
        ({"label_enumerate_values": ["no", "\ud800"]}, r"label_enumerate_values has '\\ud800'"),
        ({"label_enumerate_values": ["no", "x" * 5000]}, "each must be text of 1 to 256 characters"),
        ({"label_enumerate_values": [f"{row % 9000}" for row in range(9001)]}, "has '0' twice; labels must be different"),
        ({"label_name": "text"}, "'text' is both the label and a text"),
        ({"second_sequence": "label"}, "'label' is both the label and a text"),
        ({"second_sequence": ["text"]}, r"second_sequence \['text'\] is not one"),
        ({"first_sequence": "txt"}, "first_sequence 'txt' is not one of its columns"),
        ({"second_sequence": "txt"}, "second_sequence 'txt'"),
        ({"label_name": "y"}, "label_name 'y'"),
        ({"id_column": "key"}, "id_column 'key'"),
        ({"columns": ["id", "text", "text", "label"]}, "columns"),
        ({"label_enumerate_values": ["one"]}, "at least two different labels"),
        ({"label_enumerate_values": ["a", "b", "a"]}, "different labels"),
        ({"metric": "f2"}, "metric 'f2'"),
        ({"label_names": ["no"]}, r"label_names must be an object .* found \['no'\]"),
        ({"label_names": None}, "label_names must be an object .* found None"),
        ({"label_names": {"nein": "no"}}, "label_names has 'nein', which is no label; the labels are no, yes"),
        ({"label_names": {"no": 5}}, "label_names of 'no' is 5; it must be text of 1 to 256 characters"),
        ({"label_names": {"no": ""}}, "label_names of 'no' is ''"),
        ({"label_names": {"no": "a\nb"}}, r"label_names of 'no' is 'a\\nb'"),
        ({"label_names": {"no": "好", "yes": "好"}}, "label_names has '好' twice, of 'no' and 'yes'"),
    ],
)
def test_refused_values(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        task_from_json({**GOOD, **change})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["name", "first_sequence", "label_name", "id_column", "metric"])
@pytest.mark.parametrize("value", [None, 5, ["text"]])
def test_a_value_of_the_wrong_type_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=key):
        task_from_json({**GOOD, key: value})


@pytest.mark.parametrize("key", ["columns", "label_enumerate_values"])
@pytest.mark.parametrize("value", [None, 5, ["a", 1], {"a": 1}])
def test_lists_are_lists_of_strings(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{key} must be a list of strings"):
        task_from_json({**GOOD, key: value})


def test_a_task_without_columns_names_those_that_it_reads() -> None:
    given = {"name": "mine", "first_sequence": "text", "label_name": "labels", "label_enumerate_values": "no,yes"}
    task = task_from_json(given)
    assert (task.columns, task.id_column, task.format, task.encoding) == ((), "idx", "auto", "auto")
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task
    assert not {"columns", "format", "encoding", "label_separator"} & task.to_json().keys()
    more = task_from_json({**given, "format": "tsv", "encoding": "GBK"})
    assert (more.format, more.encoding) == ("tsv", "gb18030")
    assert task_from_json(more.to_json()).to_json() == more.to_json() and more == task
    assert task_from_json({**GOOD, "id_column": "idx"}).id_column == "idx"  # none of its columns: rows are numbered


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [], "first_sequence": None}, "first_sequence is None; it must be a column's name"),
        ({"columns": [], "label_name": "a\tb"}, r"label_name is 'a\\tb'; it must be"),
        ({"columns": [], "label_name": "text"}, "'text' is both the label and a text"),
        ({"format": "xlsx"}, "format 'xlsx' is not one of auto, contest, csv, tsv, jsonl"),
        ({"format": None}, "format None is not one"),
        ({"columns": [], "format": "contest"}, "the format contest have no header"),
        ({"encoding": "latin-1"}, "encoding 'latin-1' is not one of"),
        ({"encoding": 5}, "encoding 5 is not one of"),
        ({"label_separator": "|"}, "label_separator is for tasks of the type multi_label only, and this one is classify"),
        ({"type": "multi_label", "label_separator": ""}, "label_separator is ''; it must be text"),
        ({"type": "multi_label", "label_separator": "e"}, "the label 'yes' has the label_separator 'e' in it"),
    ],
)
def test_what_is_said_of_files_is_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_from_json({**GOOD, **change})


def test_names_beyond_ascii_have_an_ascii_form_for_files_and_layers() -> None:
    task = task_from_json({**GOOD, "name": "情感2_A"})
    assert (task.name, task.file_name, task.scope) == ("情感2_A", "u60c5_u611f2_A", "u60c5_u611f2_a")
    assert (task.head_name, task.submission_file) == ("u60c5_u611f2_a_dense", "u60c5_u611f2_a_predict.json")
    assert task_from_json({**GOOD, "name": "e\u0301"}).name == "é"
    assert task_named("E\u0301", (task_from_json({**GOOD, "name": "é"}),)).name == "é"
    assert [task.file_name for task in CONTEST_TASKS] == ["TNEWS", "OCEMOTION", "OCNLI"]
    with pytest.raises(UserError, match="different names"):
        check_tasks((replace(TNEWS, name="情"), replace(TNEWS, name="u60C5")))


def test_no_second_sequence_is_null_or_left_out() -> None:
    assert task_from_json({**GOOD, "second_sequence": None}) == task_from_json(GOOD)


def test_lists_may_be_comma_strings() -> None:
    task = task_from_json({**GOOD, "columns": "id,text,label", "label_enumerate_values": "no,yes"})
    assert task == task_from_json(GOOD)
    assert task.columns == ("id", "text", "label")


def test_names_of_labels_are_kept_and_change_nothing() -> None:
    named = task_from_json({**GOOD, "label_names": {"yes": "好"}})
    assert (named.named("yes"), named.named("no")) == ("yes (好)", "no")
    assert task_from_json(json.loads(json.dumps(named.to_json()))).label_names == {"yes": "好"}
    assert named == task_from_json(GOOD) and "label_names" not in task_from_json(GOOD).to_json()
    assert TNEWS.named("108") == "108 (教育)"
    assert all(task.label_names.keys() == set(task.label_enumerate_values) for task in CONTEST_TASKS)


def test_unknown_and_missing_keys_are_named() -> None:
    with pytest.raises(UserError, match=r"here: unknown keys \['colums'\], missing keys \[\]"):
        task_from_json({("colums" if key == "columns" else key): value for key, value in GOOD.items()}, "here")
    with pytest.raises(UserError, match="expected an object"):
        task_from_json(["mine"])


def test_tasks_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps({"tasks": [GOOD, OCNLI.to_json()]}), encoding="utf-8")
    assert [task.name for task in load_tasks(path)] == ["mine", "OCNLI"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected"),
        ('{"tasks": {}}', "expected"),
        ('{"tasks": []}', "Tasks need different names"),
        ('{"tasks": [{}]}', "tasks.json: task 0: .*missing keys"),
        ('{"tasks": [', "tasks.json is not valid JSON: line 1"),
        ("5", "expected"),
        ("null", "expected"),
        ('{"tasks": NaN}', "numbers must be finite"),
        ('{"tasks": [NaN]}', "numbers must be finite"),
        ('{"tasks": [[[]]]}', "task 0: expected an object"),
        ('{"tasks": [1' + "0" * 5000 + "]}", "tasks.json: it holds a whole number of more than 300 digits"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps({"tasks": [{**GOOD, "id_column": "label"}]}), "'label' is both the id and the label column"),
        (json.dumps({"tasks": [{f"key{row}": 0 for row in range(9000)}]}), "unknown keys"),
    ],
)
def test_refused_tasks_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        load_tasks(path)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_two_tasks_may_not_differ_in_case_only() -> None:
    with pytest.raises(UserError, match="different names"):
        check_tasks((TNEWS, replace(OCNLI, name="tnews")))
    assert check_tasks(CONTEST_TASKS) == CONTEST_TASKS


def test_tasks_are_found_in_any_case() -> None:
    assert task_named("ocnli", CONTEST_TASKS) is OCNLI
    with pytest.raises(UserError, match="No task is called 'OCN'; the tasks are TNEWS, OCEMOTION, OCNLI"):
        task_named("OCN", CONTEST_TASKS)


SEVERAL = {**GOOD, "type": "multi_label", "label_enumerate_values": ["red", "green", "blue"]}
NUMBER = {**{key: value for key, value in GOOD.items() if key != "label_enumerate_values"}, "type": "score", "range": [0, 5]}


def test_labels_of_each_type() -> None:
    one, several, number = (task_from_json(value) for value in (GOOD, SEVERAL, NUMBER))
    assert (one.target("yes"), several.target("blue,red"), several.target(""), number.target("2.5")) == (
        1,
        [1, 0, 1],
        [0] * 3,
        2.5,
    )
    assert (one.label_text(1), several.label_text([1, 0, 1]), several.label_text([0] * 3)) == ("yes", "red,blue", "")
    assert (number.label_text(2.5), number.label_text(1 / 3)) == ("2.5", "0.333333")
    assert [task.num_labels for task in (one, several, number)] == [2, 3, 1]
    assert [task.metric for task in (one, several, number)] == ["macro_f1", "macro_f1", "pearson"]
    for task, wrong in (
        (one, ["", "Yes", "yes,no"]),
        (several, ["red,red", "red, blue", "pink", ","]),
        (number, WRONG_NUMBERS),
    ):
        for text in wrong:
            assert not task.is_label(text), (task.name, text)
            with pytest.raises(ValueError, match="is no label"):
                task.target(text)


WRONG_NUMBERS = ["", "5.01", "-0.1", "nan", "inf", "1e400", "1_0", "٣", "two", "1,5"]


@pytest.mark.parametrize("value", [GOOD, SEVERAL, NUMBER, {**SEVERAL, "threshold": 0.3, "metrics": ["auc", "micro_f1"]}])
def test_tasks_of_each_type_go_to_json_and_back(value: dict[str, Any]) -> None:
    task = task_from_json(value)
    again = task_from_json(json.loads(json.dumps(task.to_json())))
    assert again == task and again.threshold == task.threshold and again.metrics == task.metrics


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({**GOOD, "type": "regression"}, "type 'regression' is not one of"),
        ({**GOOD, "type": ["score"]}, "type .* is not one of"),
        ({**NUMBER, "label_enumerate_values": ["1", "2"]}, "has numbers, no labels"),
        ({**SEVERAL, "label_enumerate_values": ["a,b", "c"]}, "must be without ','"),
        ({**SEVERAL, "label_enumerate_values": []}, "is empty; list the labels"),
        ({**NUMBER, "metric": "accuracy"}, "metric 'accuracy' is not one of"),
        ({**NUMBER, "metrics": ["mean_absolute_error", "pearson"]}, "better when smaller"),
        ({**GOOD, "metrics": ["auc", "auc"]}, "one twice"),
        ({**GOOD, "metrics": ["auc"], "metric": "accuracy"}, "one or the other"),
        ({**GOOD, "metrics": [1]}, "metrics must be a list of strings"),
        ({**GOOD, "threshold": 0.4}, "threshold is for tasks of the type multi_label"),
        ({**SEVERAL, "threshold": 1}, "above 0 and below 1"),
        ({**SEVERAL, "threshold": True}, "above 0 and below 1"),
        ({**SEVERAL, "range": [0, 1]}, "range is for tasks of the type score"),
        ({**NUMBER, "range": [5, 0]}, "range is"),
        ({**NUMBER, "range": [0, float("nan")]}, "range is"),
        ({**NUMBER, "range": 5}, "range is"),
    ],
)
def test_values_that_do_not_fit_the_type(value: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_from_json(value)


def test_the_threshold_is_no_part_of_what_a_task_is() -> None:
    task = task_from_json(SEVERAL)
    assert replace(task, threshold=0.2) == task and replace(task, more_metrics=("auc",)) != task
