"""The contest's tab separated files: every rule of reading, and what is said of rows that break one."""

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.table_reader import TableContent, TableTally, check_rows, read_table, stream_rows
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, TNEWS, Task


def read(
    folder: Path, content: bytes | str, task: Task = OCEMOTION, labelled: bool = True, header: bool = False
) -> TableContent:
    path = folder / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, task, labelled, header)


def complaints(content: TableContent) -> list[str]:
    """Returns what is said of bad rows, a line a cause."""
    with pytest.raises(UserError) as caught:
        check_rows(content)
    return [line.strip() for line in str(caught.value).splitlines() if line.startswith("  ")]


def only_reason(content: TableContent) -> str:
    (complaint,) = complaints(content)
    return complaint


def test_rows_keep_ids_texts_and_labels_as_they_stand(tmp_path: Path) -> None:
    content = read(tmp_path, "007\t 今天 \tlike\nx1\tb\tanger\n")
    assert content.rows == [Row("007", (" 今天 ",), "like"), Row("x1", ("b",), "anger")]
    assert not content.bad_rows and not content.empty_texts


def test_pairs_have_two_texts(tmp_path: Path) -> None:
    assert read(tmp_path, "0\ta\tb\t2\n", OCNLI).rows == [Row("0", ("a", "b"), "2")]


def test_quotes_are_ordinary_characters(tmp_path: Path) -> None:
    lines = ['0\t"今天\tlike', '1\t今"天"\tlike', '2\t"今天"\tanger', '3\t"a""b"\tanger', "4\t'x\tlike"]
    content = read(tmp_path, "\n".join(lines) + "\n")
    assert [row.texts[0] for row in content.rows] == ['"今天', '今"天"', '"今天"', '"a""b"', "'x"]


def test_commas_and_other_separators_are_ordinary_characters(tmp_path: Path) -> None:
    text = "a,b;c\u2028d\u0085e\x0bf\x1cg"
    assert read(tmp_path, f"0\t{text}\tlike\n").rows == [Row("0", (text,), "like")]


def test_every_cr_is_dropped_also_inside_a_line(tmp_path: Path) -> None:
    content = read(tmp_path, b"0\ta\rb\tlike\r\n1\tc\tang\rer\r\r\n")
    assert content.rows == [Row("0", ("ab",), "like"), Row("1", ("c",), "anger")]


def test_a_byte_order_mark_is_dropped_at_the_start_only(tmp_path: Path) -> None:
    content = read(tmp_path, b"\xef\xbb\xbf0\ta\tlike\n\xef\xbb\xbf1\tb\tlike\n")
    assert [row.row_id for row in content.rows] == ["0", "\ufeff1"]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    assert read(tmp_path, "0\ta\tlike\n1\tb\tlike").rows == read(tmp_path, "0\ta\tlike\n1\tb\tlike\n").rows


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    for nothing in (b"", b"\xef\xbb\xbf"):
        content = read(tmp_path, nothing)
        assert not content.rows and not content.bad_rows


@pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
def test_a_blank_line_is_bad_wherever_it_is(tmp_path: Path, blank: bytes) -> None:
    row = b"0\ta\tlike\n"
    for content, line in ((blank + row, 1), (row + blank + row, 2), (row + blank, 2)):
        found = read(tmp_path, content)
        assert only_reason(found) == f"line {line}: the line is empty; expected 3 columns"


def test_white_space_alone_is_one_column(tmp_path: Path) -> None:
    assert "found 1 columns, expected 3" in only_reason(read(tmp_path, "  \n"))


@pytest.mark.parametrize(
    ("line", "labelled", "message"),
    [
        ("0\ta\n", True, "found 2 columns, expected 3 (idx, sentence1, label) separated by tabs"),
        ("0\ta\n", True, "separated by tabs; is it a file without labels?"),
        ("0\ta\tlike\tx\n", True, "found 4 columns, expected 3"),
        ("0 a like\n", True, "found 1 columns, expected 3"),
        ("0,a,like\n", True, "separated by tabs"),
        ("0\ta\tlike\n", False, "found 3 columns, expected 2 (idx, sentence1) separated by tabs; is it a file with labels?"),
        ("0\n", False, "found 1 columns, expected 2"),
    ],
)
def test_a_wrong_number_of_columns(tmp_path: Path, line: str, labelled: bool, message: str) -> None:
    assert message in only_reason(read(tmp_path, line, labelled=labelled))


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        (OCEMOTION, "0\ta\tjoy\n", "unknown label 'joy'; allowed: like,happiness,sadness,anger,disgust,fear,surprise"),
        (OCEMOTION, "0\ta\tLike\n", "did you mean 'like'"),
        (OCEMOTION, "0\ta\t like \n", "did you mean 'like' (labels are compared exactly)"),
        (OCEMOTION, "0\ta\t\n", "the label is missing; allowed: like,"),
        (TNEWS, "0\ta\t105\n", "unknown label '105'; allowed: 115,"),
        (TNEWS, "0\ta\t0115\n", "unknown label '0115'"),
        (OCNLI, "0\ta\tb\t-\n", "unknown label '-'; allowed: 0,1,2"),
        (OCNLI, "0\ta\tb\t1.0\n", "unknown label '1.0'"),
    ],
)
def test_unknown_missing_and_near_labels(tmp_path: Path, task: Task, line: str, message: str) -> None:
    reason = only_reason(read(tmp_path, line, task))
    assert message in reason
    assert ("did you mean" in reason) == ("did you mean" in message)


@pytest.mark.parametrize("line", ["id\ttext\tlabel\n", "IDX\tSentence1\tLabel\n"])
def test_a_header_is_recognized_and_can_be_passed_over(tmp_path: Path, line: str) -> None:
    assert "pass --header" in only_reason(read(tmp_path, line + "0\ta\tlike\n"))
    content = read(tmp_path, line + "0\ta\tlike\n1\tb\tno\n", header=True)
    assert [row.row_id for row in content.rows] == ["0"]
    assert only_reason(content).startswith("line 3: ")


def test_bad_utf8_is_named_by_its_byte(tmp_path: Path) -> None:
    content = read(tmp_path, b"0\ta\tlike\n1\tab\xff\xe4\tlike\n2\tc\tlike\n")
    assert [row.row_id for row in content.rows] == ["0", "2"]
    assert only_reason(content).startswith("line 2: ")
    assert "byte 5 of the line is not UTF-8 (found b'\\xff\\xe4\\tl')" in only_reason(content)


def test_unlabelled_rows_have_no_label(tmp_path: Path) -> None:
    assert read(tmp_path, "1500\ta\tb\n", OCNLI, labelled=False).rows == [Row("1500", ("a", "b"), None)]


def test_rows_with_an_empty_text_are_good_and_counted(tmp_path: Path) -> None:
    content = read(tmp_path, "0\t\tb\t0\n1\ta\t\t1\n2\t\t\t2\n3\ta\tb\t2\n", OCNLI)
    assert len(content.rows) == 4
    assert content.empty_texts == 3


def test_a_missing_file_names_task_and_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TNEWS: .*none.csv is not a file"):
        read_table(tmp_path / "none.csv", TNEWS, True)
    with pytest.raises(UserError, match="is not a file"):
        read_table(tmp_path, TNEWS, True)


def test_all_bad_rows_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    content = read(tmp_path, b"0\ta\tlike\n\n1\tb\tjoy\n2\tc\n3\t\xff\tlike\n4\td\tfear\n")
    with pytest.raises(UserError) as caught:
        check_rows(content, "error", tmp_path / "rejects.tsv")
    message = str(caught.value)
    assert "--on_bad_row" not in message  # most rows are bad, so that skipping would be refused
    assert f"{tmp_path / 'file.csv'}: 4 bad rows, 2 good ones" in message
    for line, part in ((2, "empty"), (3, "unknown label 'joy'"), (4, "found 2 columns"), (5, "not UTF-8")):
        assert any(text.startswith(f"  line {line}: ") and part in text for text in message.splitlines())
    assert not (tmp_path / "rejects.tsv").exists()


def test_rows_of_one_cause_are_one_sentence_with_ranges(tmp_path: Path) -> None:
    lines = [f"{number}\ta\tlike" for number in range(1, 101)]
    for number in (*range(3, 18), 20, 22, 24, 26, *range(50, 60)):
        lines[number - 1] = "x"
    lines[39] = "40\ta\tjoy"
    assert complaints(read(tmp_path, "\n".join(lines))) == [
        "lines 3-17, 20, 22, 24, 26 and 10 more (29 rows), such as line 3: found 1 columns, expected 3 (idx, sentence1, "
        "label) separated by tabs",
        "line 40: unknown label 'joy'; allowed: like,happiness,sadness,anger,disgust,fear,surprise",
    ]


def test_different_values_of_one_cause_are_listed_and_cut(tmp_path: Path) -> None:
    few = only_reason(read(tmp_path, "0\ta\tjoy\n1\ta\tlike\n2\ta\tgrief\n3\ta\tjoy\n"))
    assert few.startswith("lines 1 and 3-4 (3 rows), such as line 1: unknown label 'joy'; allowed: ")
    assert few.endswith("; also found: 'grief'")
    many = only_reason(read(tmp_path, "".join(f"{row}\ta\tlabel {row}\n" for row in range(900))))
    assert many.startswith("lines 1-900 (900 rows), such as line 1: unknown label 'label 0'; allowed: ")
    assert many.endswith("; also found: 'label 1', 'label 2', 'label 3', 'label 4' and more")


def chinese(rows: int, separator: str = "\t", end: str = "\n") -> str:
    return "".join(separator.join([str(row), "今天天气好", "115"]) + end for row in range(rows))


LABELLED = chinese(60)
ZIPPED, WORKBOOK = io.BytesIO(), io.BytesIO()
for stream, name in ((ZIPPED, "TNEWS_train.csv"), (WORKBOOK, "xl/workbook.xml")):
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, LABELLED)
WRONG_FILES = {
    "GBK": (LABELLED.encode("gbk"), "in GBK or GB18030"),
    "GB18030": (LABELLED.encode("gb18030"), "iconv -f GB18030 -t UTF-8"),
    "UTF-16 with a mark": (LABELLED.encode("utf-16"), "UTF-16 text"),
    "UTF-16": (LABELLED.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "big-endian UTF-16": (LABELLED.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "UTF-32": (LABELLED.encode("utf-32"), "UTF-32 text"),
    "gzip": (gzip.compress(LABELLED.encode()), "gzip-compressed"),
    "zip": (ZIPPED.getvalue(), "a zip archive"),
    "xlsx": (WORKBOOK.getvalue(), "an Excel workbook"),
    "parquet": (b"PAR1" + b"\x15\x04" * 50, "a Parquet file"),
    "JSON lines": (b'{"id": "0", "sentence": "a", "label": "115"}\n' * 60, "is JSON"),
    "JSON": (b'[\n {"id": "0", "sentence": "a"}\n]\n', "is JSON"),
    "HTML": (b"\n<!DOCTYPE html>\n<html><body>403</body></html>\n", "a web page"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page or XML"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n", "git lfs pull"),
    "NUL bytes": (b"\0" * 5000, "is NUL"),
    "old Mac": (chinese(60, end="\r").encode(), "end with CR alone"),
    "line ends lost": (b"x" * (3 << 20), "line 1 has more than 1,048,576 bytes"),
    "line ends lost in the middle": (LABELLED.encode() + chinese(9000, end="\r").encode(), "line 61 has .* and is no row"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
@pytest.mark.parametrize("labelled", [True, False])
def test_a_file_that_is_wrong_as_a_whole_is_one_sentence(tmp_path: Path, name: str, labelled: bool) -> None:
    content, message = WRONG_FILES[name]
    if name == "old Mac" and not labelled:
        content = b"0\ta\r1\tb\r"
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, content, TNEWS, labelled)
    assert "file.csv" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            chinese(60, ","),
            "lines 1-60 (60 rows), such as line 1: found 1 columns, expected 3 (idx, sentence1, label) separated",
        ),
        (chinese(60, ","), "separated by commas?"),
        (chinese(60, "\\t"), "separated by backslashes and t?"),
        ("".join(f"115\t{row}\ta\n" for row in range(60)), "column 1 (idx) holds such labels: are the columns in another"),
        ("".join(f"{row}\ta\t{row % 15}\n" for row in range(60)), "are these label ids (places in the list, from 0)?"),
        ("0\ta\tlike\n1\ta\tfear\n", "OCEMOTION has such labels: is it the file of another task?"),
        ('0\ta\t"115"\n1\ta\t"104"\n', "labels are compared exactly: upper and lower case, white space and quotes count"),
        ("".join(f"{row}\ta\n" for row in range(60)), "is it a file without labels?"),
        ("0\ta\t115\n" * 60 + "60\ta" + "\0" * 50, "was the file cut off while it was written?"),
        ("\n" * 60, "lines 1-60 (60 rows), such as line 1: the line is empty"),
    ],
)
def test_what_all_bad_rows_suggest_is_said_once(tmp_path: Path, content: str, message: str) -> None:
    assert message in only_reason(read(tmp_path, content, TNEWS))


def test_what_not_all_bad_rows_suggest_is_not_said(tmp_path: Path) -> None:
    assert "such labels" not in only_reason(read(tmp_path, "0\ta\tlike\n1\ta\tother\n", TNEWS))
    assert "label ids" not in only_reason(read(tmp_path, "0\ta\t3\n1\ta\t300\n", TNEWS))
    assert "another order" not in only_reason(read(tmp_path, "0\ta\tb\t5\n", OCNLI))


def test_a_header_of_an_unlabelled_file_is_no_row(tmp_path: Path) -> None:
    assert "pass --header" in only_reason(read(tmp_path, "id\ttext\n0\ta\n", labelled=False))
    assert len(read(tmp_path, "id\ttext\n0\ta\n", labelled=False, header=True).rows) == 1


def test_a_row_that_is_taken_for_a_header_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(read(tmp_path, "0\ta\tlike\n1\tb\tlike\n", header=True).rows) == 1
    assert "file.csv: the first line is passed over as a header, but it looks like a row" in caplog.text
    caplog.clear()
    read(tmp_path, "idx\ttext\tlabel\n1\tb\tlike\n", header=True)
    assert not caplog.text


def test_quoted_content_is_printable_and_short(tmp_path: Path) -> None:
    content = "0\ta\t\x1b[31m\u202e\u2028" + "x" * 50_000 + "\n"
    task = Task("own", ("i", "t", "y"), "t", tuple(f"label{number}" for number in range(5000)), None, "y", "i")
    (complaint,) = complaints(read(tmp_path, content, task))
    assert complaint.isprintable() and len(complaint) < 500
    assert "label19 and 4,980 more" in complaint


def test_memory_does_not_grow_with_the_number_of_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    peaks = []
    for rows in (2000, 20_000):
        path.write_text(
            "".join(f"{row}\ttext\tno label {row}\n{row}\tgood\tlike\n" for row in range(rows)), encoding="utf-8"
        )
        tracemalloc.start()
        tally = TableTally(path, OCEMOTION, True)
        assert sum(1 for _ in stream_rows(tally)) == rows == len(tally.bad_rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000


def many(good: int, bad: int) -> bytes:
    return b"0\ta\tlike\n" * good + b"1\tb\tjoy\n" * bad


@pytest.mark.parametrize(("good", "bad"), [(95, 5), (19, 1), (1, 1), (950, 50)])
def test_few_bad_rows_are_skipped(tmp_path: Path, good: int, bad: int) -> None:
    content = read(tmp_path, many(good, bad))
    with pytest.raises(UserError, match="--on_bad_row=skip"):
        check_rows(content, "error", tmp_path / "rejects.tsv")
    check_rows(content, "skip", tmp_path / "rejects.tsv")
    assert (tmp_path / "rejects.tsv").read_bytes().count(b"\n") == bad


@pytest.mark.parametrize(("good", "bad"), [(94, 6), (18, 2), (0, 1), (13, 53_347)])
def test_many_bad_rows_are_not_skipped_and_an_old_file_of_rejects_stays(tmp_path: Path, good: int, bad: int) -> None:
    content = read(tmp_path, many(good, bad))
    (tmp_path / "rejects.tsv").write_bytes(b"old")
    with pytest.raises(
        UserError, match="These are more than --max_bad_share=0.05 lets skip, so nothing was written"
    ) as caught:
        check_rows(content, "skip", tmp_path / "rejects.tsv")
    assert f"{bad:,} bad rows, {good:,} good ones:" in str(caught.value)
    assert (tmp_path / "rejects.tsv").read_bytes() == b"old"


def test_the_share_can_be_raised_but_not_to_no_rows_at_all(tmp_path: Path) -> None:
    check_rows(read(tmp_path, many(50, 50)), "skip", tmp_path / "rejects.tsv", 0.5)
    assert (tmp_path / "rejects.tsv").exists()
    with pytest.raises(UserError, match="more than --max_bad_share=1 lets"):
        check_rows(read(tmp_path, many(0, 50)), "skip", None, 1.0)
    with pytest.raises(UserError, match="more than --max_bad_share=0.2 lets"):
        check_rows(read(tmp_path, many(70, 30)), "skip", None, 0.2)


def test_skip_writes_the_bad_lines_with_their_own_bytes(tmp_path: Path) -> None:
    content = read(tmp_path, b"\xef\xbb\xbf\xff\xfe\ta\r\r\n0\ta\tlike\r\n1\tb\rb\tjoy\r\n\r\n")
    check_rows(content, "skip", tmp_path / "deep" / "rejects.tsv", 1.0)
    lines = (tmp_path / "deep" / "rejects.tsv").read_bytes().split(b"\n")
    assert [line.split(b"\t", 2)[0] for line in lines] == [b"1", b"3", b"4", b""]
    assert [line.split(b"\t", 2)[2] for line in lines[:-1]] == [b"\xff\xfe\ta\r\r", b"1\tb\rb\tjoy\r", b"\r"]
    assert b"not UTF-8" in lines[0] and b"unknown label 'joy'" in lines[1] and b"empty" in lines[2]


def test_skip_writes_nothing_where_nothing_is_bad(tmp_path: Path) -> None:
    check_rows(read(tmp_path, "0\ta\tlike\n"), "skip", tmp_path / "rejects.tsv")
    assert not (tmp_path / "rejects.tsv").exists()
