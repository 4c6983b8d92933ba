"""rows.csv and rows.json: what is written is read, and what is damaged is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.confusions import largest_confusions
from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.evaluation.row_table import COLUMNS, RowTable, RowTexts, read_rows, task_rows, write_rows
from easytransfer_mtl.files import read_json, sha256_of, write_json
from easytransfer_mtl.tasks import MULTI_LABEL, OCNLI, TNEWS, Task

TEXTS = [('"引号,逗号',), ("两\u2028行\t",), ("=1+1",), ("零\0字节",)]


def table() -> RowTable:
    random = np.random.default_rng(3)
    news, pairs = random.dirichlet(np.ones(15), 4).astype(np.float32), np.eye(3, dtype=np.float32)[[0, 2]]
    about = RowTexts(["a", "7", "8", "09"], TEXTS, True, "TNEWS_dev.csv", "0" * 64)
    numbers = RowTexts(["0", "1"], [("甲", "乙"), ("丙", "")], False, "OCNLI_dev.tfrecord", None)
    return RowTable(
        "checkpoint 4",
        "present",
        [
            task_rows(TNEWS, about, np.array([2, 2, 2, 14]), np.array([0, 0, 2, 14]), news),
            task_rows(OCNLI, numbers, np.array([0, 1]), np.array([0, 2]), pairs),
        ],
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_rows(tmp_path, table())
    found, wanted = read_rows(tmp_path), table()
    assert (found.name, found.f1_labels) == ("checkpoint 4", "present")
    for item, other in zip(found.tasks, wanted.tasks, strict=True):
        assert item.task == other.task and item.task.label_names == other.task.label_names
        assert (item.about.ids, item.about.from_file) == (other.about.ids, other.about.from_file)
        np.testing.assert_array_equal(item.truth, other.truth)
        np.testing.assert_array_equal(item.predicted, other.predicted)
        np.testing.assert_array_equal(item.p_label.astype(np.float32), other.p_label)
        np.testing.assert_array_equal(item.p_prediction.astype(np.float32), other.p_prediction)
    assert found.tasks[0].about.texts == [*TEXTS[:3], ("零\ufffd字节",)]
    assert found.tasks[1].about.texts == [("甲", "乙"), ("丙", "")]


def test_the_loss_is_the_cross_entropy_and_finite(tmp_path: Path) -> None:
    write_rows(tmp_path, table())
    news, pairs = read_rows(tmp_path).tasks
    np.testing.assert_allclose(news.loss, -np.log(news.p_label))
    assert pairs.loss[0] == 0 and pairs.loss[1] == pytest.approx(87.34, abs=0.01)
    lines = (tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS) and lines[-1] == "OCNLI,1,丙,,1,2,0,1,87.3365448,"


def again(folder: Path, text: str) -> None:
    """Writes another rows.csv and its hash."""
    (folder / "rows.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    write_json(folder / "rows.json", {**read_json(folder / "rows.json"), "rows_sha256": sha256_of(folder / "rows.csv")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("OCNLI,1", "OCNLJ,1"), r"row 6 \(from 1\) is \['OCNLJ'"),
        (lambda text: text.replace(",1,2,0,1,", ",1,2,0,"), r"row 6 \(from 1\)"),
        (lambda text: text.replace("task,id", "id,task"), "its first line is not task,id,text"),
        (lambda text: text.rpartition("OCNLI,1")[0], "1 rows of OCNLI, where rows.json has 2"),
        (lambda text: text.replace(",1,2,0,1,", ",1,3,0,1,"), "OCNLI: .*'3'"),
        (lambda text: text.replace(",1,2,0,1,", ",1,2,0,1.5,"), "OCNLI: a probability is not between 0 and 1"),
        (lambda text: text.replace(",1,2,0,1,", ",1,2,nan,1,"), "OCNLI: a probability is not between 0 and 1"),
        (lambda text: text.replace(",1,2,0,1,", ",1,2,x,1,"), "OCNLI: "),
        (lambda text: text.replace("丙", "\udcff"), "codec can't decode"),
        (lambda text: text + '"', "unexpected end of data"),
        (lambda text: text.replace("丙", "丙" * (1 << 21) + "丙"), "field larger than field limit"),
        (lambda text: "", "0 rows of TNEWS"),
    ],
)
def test_a_damaged_table_is_named(change: Callable[[str], str], message: str, tmp_path: Path) -> None:
    write_rows(tmp_path, table())
    again(tmp_path, change((tmp_path / "rows.csv").read_text(encoding="utf-8")))
    with pytest.raises(UserError, match=f"rows.csv is damaged .*{message}.*; run evaluate again") as caught:
        read_rows(tmp_path)
    assert len(str(caught.value)) < 500


def test_a_table_that_was_changed_or_lost_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path, table())
    path = tmp_path / "rows.csv"
    path.write_bytes(path.read_bytes().replace(b"checkpoint", b"x") + b"\n")
    with pytest.raises(UserError, match="rows.csv is damaged .its content is not what rows.json beside it"):
        read_rows(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="rows.csv is damaged .it does not exist"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 3}, {"format_version": 1}, {"name": 5}, {"f1_labels": "some"},
        {"tasks": None}, {"tasks": []}, {"tasks": [5]},
        {"tasks": [{**OCNLI.to_json(), "rows": "2", "texts": "file", "file": "a"}]},
        {"tasks": [{**OCNLI.to_json(), "rows": 2, "texts": "file", "file": "a", "source_sha256": 5}]},
        {"tasks": [{"rows": 2, "texts": "file", "file": "a"}]},
    ],
)  # fmt: skip
def test_damaged_facts_are_named(change: dict[str, object], tmp_path: Path) -> None:
    write_rows(tmp_path, table())
    value = read_json(tmp_path / "rows.json")
    (tmp_path / "rows.json").write_text(json.dumps({**value, **change}), encoding="utf-8")
    with pytest.raises(UserError):
        read_rows(tmp_path)


def test_the_largest_confusions_in_words() -> None:
    truth = np.array([2] * 5 + [0] * 3 + [1])
    predicted = np.array([0, 0, 0, 2, 1, 1, 0, 0, 1])
    assert largest_confusions(score_task(TNEWS, truth, predicted), 2) == [
        "TNEWS: 3 of 5 rows of 108 (教育) were predicted as 115 (农业)",
        "TNEWS: 1 of 3 rows of 115 (农业) were predicted as 114 (股票)",
    ]
    assert largest_confusions(score_task(TNEWS, truth, truth)) == []


def several_and_areas() -> RowTable:
    random = np.random.default_rng(5)
    topics = Task("TOPICS", (), "t", ("a", "b", "c"), type=MULTI_LABEL)
    news = Task("NEWS", (), "t", ("a", "b", "c"), metric="auc")
    spam = Task("SPAM", (), "t", ("no", "yes"), more_metrics=("auc",))
    about = RowTexts(["1", "2"], [("天",), ("地",)], True, "f", None)
    one, two = random.dirichlet(np.ones(3), 2).astype(np.float32), random.dirichlet(np.ones(2), 2).astype(np.float32)
    return RowTable(
        "x",
        "present",
        [
            task_rows(topics, about, np.array([[0, 1, 1], [0, 0, 0]]), (one > 0.5).astype(int), one),
            task_rows(news, about, np.array([2, 0]), one.argmax(axis=1), one),
            task_rows(spam, about, np.array([1, 0]), two.argmax(axis=1), two),
        ],
    )


def test_probabilities_are_kept_where_scores_need_them(tmp_path: Path) -> None:
    table = several_and_areas()
    write_rows(tmp_path, table)
    found = read_rows(tmp_path)
    for item, other in zip(found.tasks, table.tasks, strict=True):
        assert item.probabilities is not None
        np.testing.assert_array_equal(item.probabilities.astype(np.float32), other.probabilities)
    assert [score.values for score in found.scores()] == [score.values for score in table.scores()]
    again(tmp_path, (tmp_path / "rows.csv").read_text(encoding="utf-8").replace("SPAM,1,天,,yes,", "SPAM,1,天,,yes,,", 1))
    with pytest.raises(UserError, match="is damaged"):
        read_rows(tmp_path)
    write_rows(tmp_path, table)
    lines = (tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()
    again(tmp_path, "\n".join([*lines[:-1], lines[-1].rpartition(" ")[0]]) + "\n")
    with pytest.raises(UserError, match="rows.csv is damaged .SPAM"):
        read_rows(tmp_path)


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    table = several_and_areas()
    write_rows(tmp_path, table)
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    write_json(tmp_path / "rows.json", {**read_json(tmp_path / "rows.json"), "format_version": 1})
    again(tmp_path, "".join(f"{line.rpartition(',')[0]}\n" for line in text.splitlines()))
    topics, news, spam = read_rows(tmp_path).tasks
    assert topics.probabilities is None and news.probabilities is None and spam.probabilities is not None
    np.testing.assert_allclose(spam.probabilities, np.asarray(table.tasks[2].probabilities), atol=1e-7)
    np.testing.assert_array_equal(topics.truth, table.tasks[0].truth)
