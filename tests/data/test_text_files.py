"""Files of texts to predict: four formats, told apart by ending and first line, and what is wrong with one, by line."""

import json
from pathlib import Path

import pytest

from easytransfer_mtl.data.text_files import TextFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

TNEWS, _, OCNLI = CONTEST_TASKS
OWN = Task("MOOD", ("number", "remark", "label"), "remark", ("好", "坏"), id_column="number")
SINGLE = [("7", ("天,地",)), ("x", ('他说"好"',))]
PAIRS = [("7", ("天", "地")), ("8", ("人", "日"))]


def read(path: Path, content: str | bytes, task: Task, form: str = "auto", header: bool = False) -> tuple[str, list[tuple]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = TextFile(path, task, form, header)
    rows = [(row.row_id, row.texts) for row in file.rows()]
    assert file.check() == len(rows)
    return file.form, rows


@pytest.mark.parametrize(
    ("name", "content", "task", "form", "rows"),
    [
        ("a.csv", '7\t天,地\nx\t他说"好"\n', TNEWS, "contest", SINGLE),
        ("a.csv", "\ufeff7\t天\t地\r\n8\t人\t日\r\n", OCNLI, "contest", PAIRS),
        ("a.csv", 'id,sentence\n7,"天,地"\nx,"他说""好"""\n', TNEWS, "csv", SINGLE),
        ("a.csv", '\ufeffID,Sentence\r\n7,"天,地"\r\nx,"他说""好"""\r\n', TNEWS, "csv", SINGLE),
        ("a.tsv", "sentence2\tsentence1\tidx\n地\t天\t7\n日\t人\t8\n", OCNLI, "tsv", PAIRS),
        ("a.csv", "premise;hypothesis;guid;more\n天;地;7;x\n人;日;8;y\n", OCNLI, "csv", PAIRS),
        ("a.csv", 'text\n"一\n二"\n', TNEWS, "csv", [("0", ("一\n二",))]),
        ("a.csv", "remark,number\n天,3\n", OWN, "csv", [("3", ("天",))]),
        ("a.jsonl", '{"id": 7, "sentence": "天,地"}\n{"id": "x", "sentence": "他说\\"好\\""}\n', TNEWS, "jsonl", SINGLE),
        ("a.json", '{"sentence1": "天", "sentence2": "地"}\n', OCNLI, "jsonl", [("0", ("天", "地"))]),
        ("stdin", '{"text": "天"}\n', TNEWS, "jsonl", [("0", ("天",))]),
        ("a.txt", "天,地\n\n人\n", TNEWS, "text", [("0", ("天,地",)), ("1", ("",)), ("2", ("人",))]),
        ("a.txt", "天\t地\n", OCNLI, "text", [("0", ("天", "地"))]),
        ("stdin", "今天股市大涨", TNEWS, "text", [("0", ("今天股市大涨",))]),
        ("stdin", "7\t天\n", TNEWS, "contest", [("7", ("天",))]),
    ],
)  # fmt: skip
def test_the_format_is_told_by_ending_and_first_line(
    tmp_path: Path, name: str, content: str, task: Task, form: str, rows: list[tuple]
) -> None:
    assert read(tmp_path / name, content, task) == (form, rows)
    if name != "stdin":
        assert read(tmp_path / "any", content, task, form) == (form, rows)


def test_a_header_that_is_named_leaves_the_contests_format(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "idx\tsentence1\n7\t天\n", TNEWS, header=True) == ("contest", [("7", ("天",))])


def test_rows_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": str(number)}) + "\n" for number in range(5)) + "no json\n", encoding="utf-8")
    rows = TextFile(path, TNEWS).rows()
    assert [next(rows).texts for _ in range(5)] == [(str(number),) for number in range(5)]
    with pytest.raises(UserError, match="1 bad rows"):
        next(rows)


@pytest.mark.parametrize(
    ("name", "content", "task", "found"),
    [
        ("a.csv", "id,words\n1,天\n", TNEWS, "line 1: id,words|found 1 columns, expected 2"),
        ("a.jsonl", '{"id": 1, "words": "天"}\n', TNEWS, "line 1: no text for TNEWS among the keys id, words; "
         "wanted: sentence1 .or sentence, text, .*, query"),
        ("a.jsonl", '{"sentence1": "天"}\n', OCNLI, "no text for OCNLI .*sentence1 .*and sentence2 .or text_b, hypothesis"),
        ("a.jsonl", '{"text": "天"}\n{"text": null}\n{"text": 5}\n', TNEWS, "2 bad rows, 1 good ones:\n  lines 2-3 "
         ".2 rows., such as line 2: text is None, not a text; also found: 5"),
        ("a.jsonl", '{"text": "天"}\n{"t": "地"}\n', TNEWS, "line 2: text is None"),
        ("a.jsonl", '{"text": "天", "id": 1.5}\n', TNEWS, "line 1: id is 1.5, not an id"),
        ("a.jsonl", '{"text": "天"}\nword\n', TNEWS, "line 2: not a JSON object .found 'word'."),
        ("a.jsonl", '[{"text": "天"}]\n', TNEWS, "line 1: not a JSON object .*is it one list"),
        ("a.jsonl", "[" * 100_000 + "\n", TNEWS, "not a JSON object|has 100,001 bytes"),
        ("a.csv", "id,text\n1,天\n2\n", TNEWS, r"line 3: found 1 columns, the header has 2 \(id, text\)"),
        ("a.csv", 'id,text\n1,"天\n', TNEWS, "unexpected end of data. Are its quotes in order"),
        ("a.csv", b"id,text\n1,\xff\n", TNEWS, "is not UTF-8"),
        ("a.txt", b"\xe5\xa4\xa9\n\xff\n", TNEWS, "line 2: byte 1 of the line is not UTF-8"),
        ("a.txt", "天\n", OCNLI, "line 1: found 1 texts, expected 2 separated by a tab"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n', TNEWS, "id '1' is that of rows 0 and 1"),
        ("a.jsonl", "", TNEWS, "is empty"),
        ("a.txt", "", TNEWS, "is empty"),
        ("a.csv", "id,text\n", TNEWS, "has no row|is empty"),
        ("a.txt", b"\x1f\x8b\x08" + bytes(range(256)), TNEWS, "is gzip-compressed, not UTF-8 text"),
        ("a.txt", "天" * (1 << 19), TNEWS, "line 1 has more than 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, task: Task, found: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=found) as caught:
        TextFile(path, task).check()
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="TNEWS: .* is not a file"):
        TextFile(tmp_path / name, TNEWS)
