"""Every text once, whatever files it is in; no labels; nothing held out that was half trained on."""

from pathlib import Path

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.texts import hold_out, read_texts
from easytransfer_mtl.tasks import CONTEST_TASKS


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


def found(folder: Path, header: bool = False) -> list[tuple]:
    return [(item.task, item.kind, item.rows, item.texts) for item in read_texts(folder, CONTEST_TASKS, header)]


def test_train_dev_and_every_board_are_read_and_each_text_counts_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        TNEWS_train="0\t天\t115\n1\t地\t114\n2\t天\t114\n",
        TNEWS_dev="0\t人\t115\n1\t天\t115\n",
        OCEMOTION_train="0\t地\tlike\n1\t日\tlike\n",
        OCNLI_train="0\t天\t地\t0\n1\t天\t人\t1\n2\t天\t地\t2\n",
        tnews_test_B="7\t月\n",
        TNEWS_a="8\t月\n9\t山\n",
        ocnli_test_B="1500\t天\t地\n1501\t地\t天\n",
    )
    assert found(tmp_path) == [
        ("TNEWS", "train", 3, [("天",), ("地",)]),
        ("OCEMOTION", "train", 2, [("日",)]),
        ("OCNLI", "train", 3, [("天", "地"), ("天", "人")]),
        ("TNEWS", "dev", 2, [("人",)]),
        ("TNEWS", "b", 1, [("月",)]),
        ("OCNLI", "b", 2, [("地", "天")]),
        ("TNEWS", "a", 2, [("山",)]),
    ]


def test_rows_without_text_are_passed_over_and_a_header_too(tmp_path: Path) -> None:
    write(tmp_path, TNEWS_train="idx\tsentence1\tlabel\n0\t \t115\n1\t天\t115\n", OCNLI_a="a\tb\tc\n0\t\t\n1\t地\t\n")
    assert found(tmp_path, header=True) == [("TNEWS", "train", 2, [("天",)]), ("OCNLI", "a", 2, [("地", "")])]


@pytest.mark.parametrize("content", [None, "0\t \t115\n"], ids=["no file", "no text"])
def test_nothing_to_train_on_is_an_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        write(tmp_path, TNEWS_train=content)
    with pytest.raises(UserError, match="no text to train on.*TNEWS_train.csv"):
        read_texts(tmp_path, CONTEST_TASKS)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, TNEWS_train="0\t天\t115\n", OCEMOTION_train="")
    with pytest.raises(UserError, match="OCEMOTION_train.csv is empty"):
        read_texts(tmp_path, CONTEST_TASKS)


def test_bad_rows_are_named(tmp_path: Path) -> None:
    write(tmp_path, TNEWS_train="0\t天\t115\n1\t地\n")
    with pytest.raises(UserError, match="line 2: found 2 columns"):
        read_texts(tmp_path, CONTEST_TASKS)


def test_what_is_held_out_shares_no_first_text_with_what_is_trained_on() -> None:
    texts = [(str(row // 3), str(row)) for row in range(300)] + [(f"single {row}",) for row in range(100)]
    train, held_out = hold_out(texts, 0.1, 5)
    assert sorted(train + held_out) == sorted(texts)
    assert not {text[0] for text in train} & {text[0] for text in held_out}
    assert len({text[0] for text in held_out}) == 20
    assert (train, held_out) == hold_out(texts, 0.1, 5)
    assert held_out != hold_out(texts, 0.1, 6)[1]


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_both_sides_have_a_text(share: float) -> None:
    train, held_out = hold_out([("a",), ("b",), ("c",)], share, 1)
    assert train and held_out
    with pytest.raises(UserError, match="only 1 text"):
        hold_out([("a", "b"), ("a", "c")], share, 1)
