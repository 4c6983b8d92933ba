"""The contest's tab separated files: every rule of reading, and what is said of rows that break one."""

from pathlib import Path

import pytest

from easytransfer_mtl.data.csv_reader import CsvContent, Row, check_rows, read_csv
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, TNEWS, Task


def read(
    folder: Path, content: bytes | str, task: Task = OCEMOTION, labelled: bool = True, header: bool = False
) -> CsvContent:
    path = folder / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(path, task, labelled, header)


def only_reason(content: CsvContent) -> str:
    assert len(content.bad_rows) == 1
    return content.bad_rows[0].reason


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
        assert [bad.line for bad in found.bad_rows] == [line]
        assert only_reason(found) == "the line is empty; expected 3 columns"


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
    assert [bad.line for bad in content.bad_rows] == [3]


def test_bad_utf8_is_named_by_its_byte(tmp_path: Path) -> None:
    content = read(tmp_path, b"0\ta\tlike\n1\tab\xff\xe4\tlike\n2\tc\tlike\n")
    assert [row.row_id for row in content.rows] == ["0", "2"]
    assert content.bad_rows[0].line == 2
    assert "byte 5 of the line is not UTF-8 (found b'\\xff\\xe4\\tl')" in only_reason(content)


def test_unlabelled_rows_have_no_label(tmp_path: Path) -> None:
    assert read(tmp_path, "1500\ta\tb\n", OCNLI, labelled=False).rows == [Row("1500", ("a", "b"), None)]


def test_rows_with_an_empty_text_are_good_and_counted(tmp_path: Path) -> None:
    content = read(tmp_path, "0\t\tb\t0\n1\ta\t\t1\n2\t\t\t2\n3\ta\tb\t2\n", OCNLI)
    assert len(content.rows) == 4
    assert content.empty_texts == 3


def test_a_missing_file_names_task_and_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TNEWS: .*none.csv is not a file"):
        read_csv(tmp_path / "none.csv", TNEWS, True)
    with pytest.raises(UserError, match="is not a file"):
        read_csv(tmp_path, TNEWS, True)


def test_all_bad_rows_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    content = read(tmp_path, b"0\ta\tlike\n\n1\tb\tjoy\n2\tc\n3\t\xff\tlike\n4\td\tfear\n")
    with pytest.raises(UserError) as caught:
        check_rows(content, "error", tmp_path / "rejects.tsv")
    message = str(caught.value)
    assert f"{tmp_path / 'file.csv'}: 4 bad rows, 2 good ones" in message
    for line, part in ((2, "empty"), (3, "unknown label 'joy'"), (4, "found 2 columns"), (5, "not UTF-8")):
        assert any(text.startswith(f"  line {line}: ") and part in text for text in message.splitlines())
    assert "--on_bad_row=skip" in message
    assert not (tmp_path / "rejects.tsv").exists()


def test_a_long_report_is_cut_and_counted(tmp_path: Path) -> None:
    content = read(tmp_path, "x\n" * 50)
    with pytest.raises(UserError) as caught:
        check_rows(content, "error", tmp_path / "rejects.tsv")
    lines = str(caught.value).splitlines()
    assert sum(line.startswith("  line ") for line in lines) == 20
    assert f"  and 30 more, in the lines {', '.join(map(str, range(21, 51)))}" in lines


def test_skip_writes_the_bad_lines_with_their_own_bytes(tmp_path: Path) -> None:
    content = read(tmp_path, b"\xef\xbb\xbf\xff\xfe\ta\r\r\n0\ta\tlike\r\n1\tb\rb\tjoy\r\n\r\n")
    check_rows(content, "skip", tmp_path / "deep" / "rejects.tsv")
    lines = (tmp_path / "deep" / "rejects.tsv").read_bytes().split(b"\n")
    assert [line.split(b"\t", 2)[0] for line in lines] == [b"1", b"3", b"4", b""]
    assert [line.split(b"\t", 2)[2] for line in lines[:-1]] == [b"\xff\xfe\ta\r\r", b"1\tb\rb\tjoy\r", b"\r"]
    assert b"not UTF-8" in lines[0] and b"unknown label 'joy'" in lines[1] and b"empty" in lines[2]


def test_skip_writes_nothing_where_nothing_is_bad(tmp_path: Path) -> None:
    check_rows(read(tmp_path, "0\ta\tlike\n"), "skip", tmp_path / "rejects.tsv")
    assert not (tmp_path / "rejects.tsv").exists()
