"""The same rows in every format and encoding are the same rows, the same TFRecords, and the same parts of a split."""

import csv
import io
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from easytransfer_mtl.data.conversion import Conversion, convert_file, rejects_path
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.manifest import read_manifest
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.splitting import split_tail
from easytransfer_mtl.data.table_form import BY_TASK, CSV, JSONL, TSV
from easytransfer_mtl.data.table_reader import TableTally, check_rows, read_table, require_rows, stream_rows
from easytransfer_mtl.data.text_files import TextFile
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task, task_from_json

VOCABULARY = load_vocabulary(Path(__file__).parents[2] / "data/tiny_bert_zh/vocab.txt")
LABELS = ("好", "坏", "no, thanks", '"', "0")
PIECES = [
    "今天天气很好", "我们都是好人", "他说", ",", ";", '"', '""', "'", "\\", "\\n", "😀", "　", " ", "ＡＢ", "é", "{", "[1]",
    "0", "，", "\u2028", "\x0b", "NULL", "#",
]  # fmt: skip
NAMES = ("keywords", "uid", "second", "gold", "first")
"""The columns of the tables, in their order: one that nobody asked for too."""
TASK = {
    "name": "OWN",
    "first_sequence": "first",
    "second_sequence": "second",
    "label_name": "gold",
    "id_column": "uid",
    "label_enumerate_values": list(LABELS),
}
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be")
FORMATS = ("contest", "csv", "csv all quoted", "csv ;", "csv tab", "tsv", "jsonl", "jsonl escaped")


def made_rows(seed: int, count: int = 40) -> list[Row]:
    random_ = random.Random(seed)

    def text() -> str:
        return "".join(random_.choice(PIECES) for _ in range(random_.randrange(6))) + random_.choice(["", "天下的人"])

    return [Row(f"n{number}", (text(), text()), random_.choice(LABELS)) for number in range(count)]


def written(rows: Sequence[Row], form: str, end: str = "\n") -> str:
    values = [["x", row.row_id, row.texts[1], str(row.label), row.texts[0]] for row in rows]
    if form.startswith("jsonl"):
        lines = (json.dumps(dict(zip(NAMES, each)), ensure_ascii=form.endswith("escaped")) for each in values)
        return "".join(line + end for line in lines)
    if form in ("contest", "tsv"):
        head = [] if form == "contest" else [NAMES]
        return "".join("\t".join(each) + end for each in (*head, *values))
    separator = "\t" if form.endswith("tab") else ";" if form.endswith(";") else ","
    stream = io.StringIO()
    quoting = csv.QUOTE_ALL if "quoted" in form else csv.QUOTE_MINIMAL
    csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=end).writerows([NAMES, *values])
    return stream.getvalue()


def task_for(form: str, encoding: str) -> Task:
    """The task, told of the encoding only where nothing in the file shows it, and of the quotes of tabs."""
    more: dict[str, object] = {"columns": list(NAMES)} if form == "contest" else {}
    if encoding in ("utf-16-le", "utf-16-be"):
        more["encoding"] = encoding
    if form in ("tsv", "csv tab"):
        more["format"] = form.split()[0]
    return task_from_json({**TASK, **more})


def path_for(folder: Path, form: str) -> Path:
    return folder / f"OWN_train.{'jsonl' if form.startswith('jsonl') else 'tsv' if 't' in form else 'csv'}"


@pytest.mark.parametrize(("form", "encoding"), [*itertools.product(FORMATS, ENCODINGS)])
def test_the_same_rows_in_every_format_and_encoding(tmp_path: Path, form: str, encoding: str) -> None:
    task, path = task_for(form, encoding), path_for(tmp_path, form)
    for seed, end in ((1, "\n"), (2, "\r\n")):
        rows = made_rows(seed)
        path.write_bytes(written(rows, form, end).encode(encoding))
        content = read_table(path, task, labelled=True)
        check_rows(content)
        assert content.rows == rows


def test_the_same_rows_give_the_same_records(tmp_path: Path) -> None:
    builder, rows, found = FeatureBuilder(Tokenizer(VOCABULARY), 64), made_rows(3), set()
    for form, encoding in itertools.product(FORMATS, ENCODINGS[:4]):
        path, output = path_for(tmp_path, form), tmp_path / "out.tfrecord"
        path.write_bytes(written(rows, form).encode(encoding))
        report = convert_file(Conversion(path, output, task_for(form, encoding)), builder, "error")
        assert report.rows == len(rows)
        found.add(output.read_bytes())
        manifest = read_manifest(output)
        assert manifest and manifest.task == task_for(form, encoding)
    assert len(found) == 1


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_the_parts_of_a_split_are_read_as_the_whole(tmp_path: Path, form: str, encoding: str) -> None:
    for told in (True, False):
        rows = made_rows(4) if told or form != "tsv" else [Row(str(number), ('"天"', "地"), "0") for number in range(20)]
        task = task_for(form, encoding)
        if not told:
            task = task_from_json({**task.to_json(), "format": "auto"})
        path = path_for(tmp_path, form)
        path.write_bytes(written(rows, form, "\r\n").encode(encoding))
        parts = split_tail(path, 0.25, tmp_path / "split", form=TableTally(path, task, True).table_form())
        read = [read_table(part, task, True).rows for part in parts]
        whole = read_table(path, task, True).rows
        assert [*read[0], *read[1]] == whole and len(read[1]) == len(whole) // 4


@pytest.mark.parametrize("form", ["csv", "csv all quoted", "jsonl"])
def test_a_text_may_hold_tabs_and_line_ends(tmp_path: Path, form: str) -> None:
    rows = [Row("1", ("天\n地\r\n人", "a\tb"), "0"), Row("2", ("", "\n"), "好")]
    path = path_for(tmp_path, form)
    path.write_bytes(written(rows, form).encode())
    assert read_table(path, task_for(form, "utf-8"), True).rows == rows


def test_rows_without_ids_have_their_numbers_and_blank_lines_are_none(tmp_path: Path) -> None:
    own = {"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1"}
    task = task_from_json(own)
    (tmp_path / "a.csv").write_text("text,label\n天,0\n\n地,1\n\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"text": "天", "label": 0}\n\n{"text": "地", "label": "1"}\n\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("天\t0\n地\t1\n", encoding="utf-8")
    positional = task_from_json({**own, "columns": "text,label"})
    for name, each in (("a.csv", task), ("a.jsonl", task), ("a.tsv", positional)):
        assert read_table(tmp_path / name, each, True).rows == [Row("0", ("天",), "0"), Row("1", ("地",), "1")]


def test_clues_own_files(tmp_path: Path) -> None:
    tnews = task_from_json(
        {
            "name": "TN",
            "first_sequence": "sentence",
            "label_enumerate_values": ["102", "103"],
            "label_names": {"102": "娱乐"},
        }
    )
    path = tmp_path / "train.json"
    row = {"label": "102", "label_desc": "news_entertainment", "sentence": "江疏影甜甜圈自拍", "keywords": "江疏影,自拍"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_table(path, tnews, True).rows == [Row("0", ("江疏影甜甜圈自拍",), "102")]
    ocnli = task_from_json(
        {
            "name": "NLI",
            "first_sequence": "sentence1",
            "second_sequence": "sentence2",
            "label_enumerate_values": "entailment,neutral,contradiction",
        }
    )
    lines = [
        {"level": "easy", "sentence1": "天", "sentence2": "地", "label": "neutral", "label0": "neutral", "id": 7},
        {"level": "hard", "sentence1": "人", "sentence2": "日", "label": "-", "id": 8},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    content = read_table(path, ocnli, True)
    assert content.rows == [Row("7", ("天", "地"), "neutral")]
    with pytest.raises(UserError, match="line 2: unknown label '-'; allowed: entailment,neutral,contradiction"):
        check_rows(content)


def test_several_labels_are_a_list_or_separated(tmp_path: Path) -> None:
    given = {"name": "M", "type": "multi_label", "first_sequence": "t", "label_enumerate_values": ["a", "b", "c d"]}
    task = task_from_json({**given, "label_separator": "|"})
    (tmp_path / "m.csv").write_text("t,label\n天,a|c d\n地,\n人,b\n", encoding="utf-8")
    lines = [("天", ["a", "c d"]), ("地", []), ("人", "b")]
    text = "".join(json.dumps({"t": each, "label": label}) + "\n" for each, label in lines)
    (tmp_path / "m.jsonl").write_text(text, encoding="utf-8")
    for name in ("m.csv", "m.jsonl"):
        rows = read_table(tmp_path / name, task, True).rows
        assert [row.label for row in rows] == ["a,c d", "", "b"]
        assert [task.target(str(row.label)) for row in rows] == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    (tmp_path / "m.csv").write_text('t,label\n天,"a,c d"\n地,\n人,b\n', encoding="utf-8")
    assert read_table(tmp_path / "m.csv", task_from_json(given), True).rows == rows
    for content, message in (
        ('{"t": "天", "label": ["a", "x"]}', "unknown label 'x'; allowed: none or some of a,b,c d"),
        ('{"t": "天", "label": ["a", "a"]}', "a label twice in 'a,a'"),
        ('{"t": "天", "label": ["a,b"]}', r"a label in \['a,b'\] holds ','"),
        ('{"t": "天", "label": [["a"]]}', r"the label is \[\['a'\]\]; a label is a text or a number"),
    ):
        (tmp_path / "m.jsonl").write_text(content + "\n", encoding="utf-8")
        with pytest.raises(UserError, match=message):
            check_rows(read_table(tmp_path / "m.jsonl", task, True))


def test_numbers_in_every_format(tmp_path: Path) -> None:
    task = task_from_json({"name": "S", "type": "score", "first_sequence": "t", "range": [0, 5]})
    (tmp_path / "s.csv").write_text("t,label\n天,2.5\n地,0\n", encoding="utf-8")
    (tmp_path / "s.jsonl").write_text('{"t": "天", "label": 2.5}\n{"t": "地", "label": 0}\n', encoding="utf-8")
    for name in ("s.csv", "s.jsonl"):
        assert [row.label for row in read_table(tmp_path / name, task, True).rows] == ["2.5", "0"]
    for value in ("NaN", "6", "true", "null"):
        (tmp_path / "s.jsonl").write_text(f'{{"t": "天", "label": {value}}}\n', encoding="utf-8")
        with pytest.raises(UserError, match="allowed: a number from 0 to 5"):
            check_rows(read_table(tmp_path / "s.jsonl", task, True))


def test_set_aside_rows_keep_their_bytes(tmp_path: Path) -> None:
    task = task_from_json({"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1"})
    path = tmp_path / "a.csv"
    good = "天,0\n" * 60
    path.write_bytes(f'text,label\r\n{good}"two\nlines",9\r\nx\n'.encode() + b"\xff,0\n")
    builder = FeatureBuilder(Tokenizer(VOCABULARY), 16)
    report = convert_file(Conversion(path, tmp_path / "o.tfrecord", task), builder, "skip")
    assert (report.rows, report.rejected) == (60, 3)
    found = rejects_path(tmp_path / "o.tfrecord").read_bytes()
    assert found.endswith(b'\t"two\nlines",9\r\n' + found[found.index(b"64\t") :])
    assert b"64\tfound 1 columns, the header has 2 (text, label)" in found and b"is not UTF-8" in found


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("a.csv", "id,text,target\n1,天,0\n", {}, "a.csv, line 1: no label for A among the columns id, text, target; "
         "wanted: label. Name the columns"),
        ("a.csv", "id,text,Labels\n1,天,0\n", {}, "wanted: label. Is it 'Labels'. Say so in the task"),
        ("a.csv", "id,content,label\n1,天,0\n", {}, "no text for A among the columns id, content, label; wanted: text"),
        ("a.csv", "id,text,label\n1,天,0\n", {"format": "tsv"}, "one column only: are they separated by commas"),
        ("a.csv", "id|text|label\n1|天|0\n", {}, "one column only: are they separated by bars"),
        ("a.csv", "text\n天\n", {}, "no label .*one column only: is it the right separator"),
        ("a.csv", "天气真好,0\n地,1\n", {}, "Is the first line a row. A file without a header is tab separated"),
        ("a.tsv", "1\t天气真好\t0\n", {}, "Is the first line a row"),
        ("a.csv", "text,label,text\n天,0,地\n", {}, "two columns are called 'text'"),
        ("a.csv", "text,label\n天,0\n", {"id_column": "uid"}, "no id for A .*wanted: uid"),
        ("a.csv", 'text,label\n天,0\n"地,1\n人,0\n', {}, "a.csv, lines 3 to 4: unexpected end of data. Are its"),
        ("a.csv", 'text,label\n"天"地,0\n', {}, "a.csv, line 2: .*Are its quotes in order"),
        ("a.csv", "text,label\n" + "天,人,1\n" * 50_000, {}, "50,000 bad rows.*found 3 columns, the header has 2 "
         ".text, label.; does a text with ',' in it stand without quotes"),
        ("a.csv", "text,label\n天\n", {}, "line 2: found 1 columns, .*does a text hold a line end, or is the row cut off"),
        ("a.csv", "text,label,other\n天,x,0\n地,y,1\n人,y,1\n", {}, "'other' holds such labels: is it the label_name"),
        ("a.csv", "text,label\n天,\n", {}, "line 2: the label is missing; allowed: 0,1"),
        ("a.jsonl", '{"text": "天", "label": ["0"]}\n', {}, "the label is .'0'.; a label is a text or a number; are they "
         "several labels a row"),
        ("a.jsonl", '{"text": "天", "label": null}\n', {}, "the label is missing"),
        ("a.jsonl", '{"text": "天", "label": 7}\n', {}, "unknown label '7'"),
        ("a.jsonl", '{"text": "天", "label": {}}\n', {}, "the label is {}; a label is"),
        ("a.jsonl", '{"text": "\\ud800", "label": 0}\n', {}, "text holds half of a character"),
        ("a.jsonl", '{"words": "天", "label": 0}\n', {}, "line 1: no text for A among the keys words, label; wanted: text"),
        ("a.json", '[{"text": "天", "label": 0}]\n', {}, "is it one list. write a row a line"),
        ("a.csv", "", {}, "a.csv is empty"),
        ("a.csv", "text,label\n", {}, "a.csv has no row"),
        ("a.csv", b"PK\x03\x04xl/", {}, "is an Excel workbook"),
        ("a.csv", "text,label\r天,0\r", {}, "lines end with CR alone"),
        ("a.csv", "天,地\n", {"columns": "text,label"}, "are they separated by commas"),
        ("a.csv", b"text,label\n\xb0\xa1,0\n", {}, 'GB18030, as it seems, not UTF-8.*or say "encoding": "gb18030"'),
        ("a.csv", "text,label\n天,0\n".encode() + b"\xff,0\n", {}, "line 3: byte 1 of the line is not UTF-8"),
        ("a.csv", "text,label\n天,0\n".encode("utf-16")[:-1], {}, "a.csv is damaged UTF-16 text"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, more: dict[str, str], message: str
) -> None:
    task = task_from_json({"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1", **more})
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    tally = TableTally(path, task, labelled=True)
    with pytest.raises(UserError, match="(?s)" + message) as caught:
        for _ in stream_rows(tally):
            pass
        check_rows(tally)
        require_rows(tally)
    lines = str(caught.value).splitlines()
    assert len(lines) in (1, 3) and len(str(caught.value)) < 450 + 2 * len(str(tmp_path))


def test_quotes_of_tab_separated_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = task_from_json({"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1"})
    cases = {
        TSV: ('text\tlabel\n"天\t0\n地"人"\t1\n"日" 月\t0\n', ['"天', '地"人"', '"日" 月']),
        CSV: ('text\tlabel\n"天""地"\t0\n"人\t日"\t1\n', ['天"地', "人\t日"]),
    }
    for form, (content, texts) in cases.items():
        path = tmp_path / f"{form}.tsv"
        path.write_text(content, encoding="utf-8")
        with caplog.at_level("INFO"):
            assert TableTally(path, task, True).table_form().format == form
        assert [row.texts[0] for row in read_table(path, task, True).rows] == texts
        assert caplog.text.count(f"{path}: its quotes are read as") == 1  # however often the file is read
    told = [task_from_json({**task.to_json(), "format": form}) for form in (TSV, CSV)]
    path.write_text('text\tlabel\n"天"\t0\n', encoding="utf-8")
    assert [read_table(path, each, True).rows[0].texts[0] for each in (task, *told)] == ['"天"', '"天"', "天"]
    path.write_text('"text"\t"label"\n"天"\t0\n', encoding="utf-8")  # as pandas does with QUOTE_NONNUMERIC
    assert read_table(path, task, True).rows[0].texts[0] == "天"


def test_a_task_that_lists_its_columns_reads_headers_with_commas_and_json_lines_too(tmp_path: Path) -> None:
    task = task_from_json(
        {"name": "A", "columns": "idx,text,label", "first_sequence": "text", "label_enumerate_values": "0,1"}
    )
    files = {
        "a.csv": '7\t"天"\t0\n',
        "b.csv": 'label,idx,text\n0,7,"""天"""\n',
        "c.csv": 'label;idx;text\n0;7;"""天"""\n',
        "d.jsonl": '{"idx": 7, "text": "\\"天\\"", "label": 0}\n',
        "e.json": '{"guid": "7", "sentence": "\\"天\\"", "label": 0}\n',
    }
    forms = []
    for name, content in files.items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        assert read_table(path, task, True).rows == [Row("7", ('"天"',), "0")]
        forms.append(TableTally(path, task, True).table_form().format)
    assert forms == ["contest", CSV, CSV, JSONL, JSONL]


def test_what_is_no_text_is_called_by_its_name_however_large(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"PK\x03\x04" + b"x" * (3 << 20))
    for columns in ([], ["text", "label"]):
        task = Task("A", tuple(columns), "text", ("0", "1"))
        with pytest.raises(UserError, match="is a zip archive"):
            read_table(path, task, True)


def test_texts_to_predict_for_a_task_that_names_its_columns(tmp_path: Path) -> None:
    task = task_from_json({"name": "A", "first_sequence": "text", "label_enumerate_values": "0,1"})
    files = {"a.csv": "sentence\n天\n", "b.tsv": "id\ttext\tlabel\n0\t天\t1\n", "c.txt": "天\n", "d": '{"title": "天"}\n'}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert list(TextFile(tmp_path / name, task).rows()) == [Row("0", ("天",), None)]
    with pytest.raises(UserError, match="no text for A among the columns sentence; wanted: text"):
        TextFile(tmp_path / "a.csv", task, BY_TASK).check()
    (tmp_path / "a.csv").write_text("words,more\n天,地\n", encoding="utf-8")
    with pytest.raises(UserError, match="no text for A among the columns words, more; wanted: text .or sentence1"):
        TextFile(tmp_path / "a.csv", task).check()
