"""check_data on an invented folder: nothing is said of good files, and every injected fault is named, with its place."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.inspection.data_check import DataReport, check_data
from easytransfer_mtl.inspection.findings import Finding
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

REAL = Path(os.environ.get("TIANCHI_DATA", "tianchi_datasets_not_here"))
TRAIN, DEV, A, B = "OCEMOTION_train.csv", "OCEMOTION_dev.csv", "OCEMOTION_a.csv", "b/ocemotion_test_B.csv"
Edit = Callable[[list[bytes]], list[bytes]]


def check(folder: Path, header: bool = False, tasks: tuple[Task, ...] = CONTEST_TASKS) -> DataReport:
    return check_data(folder, tasks, header)


def serious(report: DataReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.level != "note"]


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def edit(path: Path, change: Edit) -> None:
    path.write_bytes(b"".join(change(lines_of(path))))


def replaced(line: int, old: bytes, new: bytes) -> Edit:
    """Replaces bytes in a line, counted from 1."""

    def change(lines: list[bytes]) -> list[bytes]:
        assert old in lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new), *lines[line:]]

    return change


def saved(lines: list[bytes]) -> list[bytes]:
    """Reads and writes a file as pandas does."""
    stream = io.StringIO()
    csv.writer(stream, delimiter="\t").writerows(csv.reader(io.StringIO(b"".join(lines).decode()), delimiter="\t"))
    return [stream.getvalue().encode()]


def saved_with_merged_rows(lines: list[bytes]) -> list[bytes]:
    """The texts of rows 4 and 8 begin with a quote, which makes a CSV reader merge rows 4 to 8."""
    return saved(replaced(4, b"3\t", b'3\t"')(replaced(8, b"7\t", b'7\t"')(lines)))


def saved_with_doubled_quotes(lines: list[bytes]) -> list[bytes]:
    return saved(replaced(4, b",", b'"')(lines))


def merged_into_one_text(lines: list[bytes]) -> list[bytes]:
    """Rows 5 and 6 stand in the text of row 4, tabs and line ends replaced by spaces."""
    first, *others = (line.decode().rstrip("\r\n").split("\t") for line in lines[3:6])
    text = " ".join([first[1], first[2], *(" ".join(row) for row in others[:-1]), *others[-1][:2]])
    return [*lines[:3], "\t".join([first[0], text, others[-1][2]]).encode() + b"\r\n", *lines[6:]]


def wide(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b",", "，".encode()) for line in lines]


FAULTS: dict[str, tuple[str, Edit, str, str, int | None, int]] = {
    "a board lacks a row": (A, lambda lines: lines[:-1], "error", "rows", None, 0),
    "a column too many": (TRAIN, replaced(5, b"\t", b"\tx\t"), "error", "columns", 5, 1),
    "an id twice on a board": (A, lambda lines: [*lines[:9], *lines[8:9], *lines[10:]], "error", "repeated_ids", 10, 1),
    "an id twice in a train file": (TRAIN, lambda lines: [*lines, lines[2]], "warning", "repeated_ids", 61, 1),
    "an id missing on a board": (
        B, lambda lines: [*lines[:7], *lines[8:], b"1500\tx\r\n"], "error", "missing_ids", 7, 1
    ),
    "ids missing in a train file": (TRAIN, lambda lines: [*lines[:20], *lines[23:]], "warning", "missing_ids", 20, 3),
    "ids of a board not in order": (
        A, lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "warning", "id_order", 5, 1
    ),
    "another first id": ("b/ocnli_test_B.csv", lambda lines: [
        str(row).encode() + line[4:] for row, line in enumerate(lines)
    ], "error", "first_id", 1, 1),
    "a label that is none": (TRAIN, replaced(7, b"\tsurprise", b"\tsurprize"), "error", "label", 7, 1),
    "labels that no row has": (TRAIN, lambda lines: [line.replace(b"\tfear", b"\tlike") for line in lines], "warning",
                               "unused_labels", None, 0),
    "a file in GB18030": (
        TRAIN, lambda lines: [b"".join(lines).decode().encode("gb18030")], "error", "unreadable", None, 0
    ),
    "lines in GB18030": (
        TRAIN, lambda lines: [*lines[:30], *(line.decode().encode("gb18030") for line in lines[30:33]), *lines[33:]],
        "error", "encoding", 31, 3,
    ),
    "a file in UTF-16": (TRAIN, lambda lines: [b"".join(lines).decode().encode("utf-16")], "error", "unreadable", None, 0),
    "a byte order mark": (TRAIN, lambda lines: [b"\xef\xbb\xbf", *lines], "note", "bom", 1, 1),
    "LF among CRLF": (TRAIN, lambda lines: [lines[0].replace(b"\r", b""), *lines[1:]], "note", "line_ends", None, 0),
    "a CR in a text": (TRAIN, replaced(9, b",", b"\r,"), "warning", "lone_cr", 9, 1),
    "CR for all line ends": (
        TRAIN, lambda lines: [b"".join(lines).replace(b"\r\n", b"\r")], "error", "unreadable", None, 0
    ),
    "rows merged into a text at quotes": (TRAIN, merged_into_one_text, "error", "merged_rows", 4, 2),
    "rows merged, saved with quotes": (TRAIN, saved_with_merged_rows, "error", "merged_rows", 4, 1),
    "saved with quotes": (TRAIN, saved_with_doubled_quotes, "warning", "quoted_fields", 4, 1),
    "a header": (TRAIN, lambda lines: [b"id\ttext\tlabel\r\n", *lines], "error", "header", 1, 1),
    "the first row of a board eaten": (A, lambda lines: lines[1:], "error", "header_eaten", 1, 1),
    "the first row of a train file eaten": (TRAIN, lambda lines: lines[1:], "warning", "header_eaten", 1, 1),
    "full-width punctuation on a board": (B, wide, "warning", "width", 1, 1500),
    "a text twice": (
        TRAIN, lambda lines: [*lines[:7], b"7\t" + lines[0].split(b"\t", 1)[1], *lines[8:]], "note", "repeated_texts", 8, 1
    ),
    "a text with two labels": (
        TRAIN, lambda lines: [*lines[:8], b"8\t" + lines[0].split(b"\t")[1] + b"\thappiness\r\n", *lines[9:]], "warning",
        "conflicting_labels", 1, 2,
    ),
    "an empty text": (DEV, lambda lines: [b"60\t\tlike\r\n", *lines[1:]], "warning", "empty_text", 1, 1),
    "an empty line": (TRAIN, lambda lines: [*lines[:3], b"\r\n", *lines[3:]], "error", "empty_line", 4, 1),
    "a control character": (DEV, replaced(3, b",", b"\x07"), "note", "control_characters", 3, 1),
    "characters lost before": (DEV, replaced(3, b",", "\ufffd".encode()), "warning", "lost_characters", 3, 1),
    "an empty file": (TRAIN, lambda lines: [], "error", "unreadable", None, 0),
    "binary junk": (TRAIN, lambda lines: [bytes(range(256)) * 40], "error", "encoding", 2, 40),
    "zeros": (TRAIN, lambda lines: [b"\0" * 5000], "error", "unreadable", None, 0),
    "one enormous line": (TRAIN, lambda lines: [b"a" * (3 << 20)], "error", "unreadable", None, 0),
    "no good row": (TRAIN, lambda lines: [line.replace(b"\t", b" ") for line in lines], "error", "no_rows", None, 0),
    "labels on a board": (A, lambda lines: [line.rstrip() + b"\tlike\r\n" for line in lines], "error", "columns", 1, 1500),
}  # fmt: skip


def test_good_files_pass(contest: Path) -> None:
    report = check(contest)
    assert report.ok and [finding.check for finding in report.findings] == ["rows"] * 3  # parts of the official train files
    assert "0 errors, 0 warnings, 3 notes" in report.text() and report.text().count("CRLF") == 12


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_place(contest: Path, fault: str) -> None:
    name, change, level, kind, line, count = FAULTS[fault]
    edit(contest / name, change)
    report = check(contest)
    (found,) = [finding for finding in report.findings if (finding.check, finding.file) == (kind, name)]
    assert (found.level, found.file, found.line, found.count) == (level, name, line, count)
    assert found.message.endswith((".", "?")) and (found.advice.endswith(".") or not found.advice)
    assert report.ok == (not [finding for finding in report.findings if finding.level == "error"])


def test_every_check_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    assert [kind for _, _, _, kind, _, _ in FAULTS.values() if f"`{kind}`" not in text] == []


def test_one_fault_is_one_serious_finding(contest: Path) -> None:
    """A row that cannot be read, or was merged, is not counted among the missing ids too."""
    edit(contest / TRAIN, merged_into_one_text)
    edit(contest / "TNEWS_train.csv", replaced(5, b"\t", b"\tx\t"))
    assert [(finding.file, finding.check) for finding in serious(check(contest))] == [
        ("TNEWS_train.csv", "columns"), (TRAIN, "merged_rows"),
    ]  # fmt: skip


def test_quotes_that_a_csv_reader_would_trip_over_are_a_note(contest: Path) -> None:
    edit(contest / TRAIN, lambda lines: replaced(4, b"3\t", b'3\t"')(replaced(8, b"7\t", b'7\ta"b')(lines)))
    report = check(contest)
    (found,) = [finding for finding in report.findings if finding.check == "quotes"]
    assert (found.level, found.file, found.line) == ("note", TRAIN, 4) and not serious(report)


def test_a_header_that_is_announced_is_no_finding(contest: Path) -> None:
    for path in contest.rglob("*.csv"):
        edit(path, lambda lines: [b"id\ttext\tlabel\r\n", *lines])
    assert not serious(check(contest, header=True))
    assert {finding.check for finding in serious(check(contest))} >= {"header"}


def test_dev_texts_of_the_train_file_are_compared_with_the_boards(contest: Path) -> None:
    train = lines_of(contest / TRAIN)
    texts = [line.split(b"\t")[1] for line in train]
    edit(contest / DEV, lambda lines: [b"%d\t%s\tlike\r\n" % (60 + row, texts[row]) for row in range(3)] + lines[3:])
    edit(contest / A, lambda lines: [b"0\t%s\r\n" % texts[0], *lines[1:]])
    (found,) = [finding for finding in check(contest).findings if finding.check == "shared_texts"]
    assert (found.level, found.file, found.line, found.count) == ("warning", DEV, 1, 3)
    assert "the text of 3 of the 15 dev rows (20.0%) stands in the train file too" in found.message
    assert "; of board a 1 of 1,500 (0.1%); of board b none. So" in found.message
    assert "dev is too kind a forecast of board a and board b." in found.message


def test_premises_of_the_train_file_are_counted(contest: Path) -> None:
    premise = lines_of(contest / "OCNLI_train.csv")[0].split(b"\t")[1]
    edit(
        contest / "OCNLI_dev.csv",
        lambda lines: [b"%d\t%s\t%s\t1\r\n" % (60 + row, premise, b"x" * (row + 1)) for row in range(5)] + lines[5:],
    )
    (found,) = [finding for finding in check(contest).findings if finding.check == "shared_first_texts"]
    assert (found.level, found.file, found.line, found.count) == ("note", "OCNLI_dev.csv", 1, 5)


def test_without_a_train_file_the_others_are_checked(contest: Path) -> None:
    (contest / TRAIN).unlink()
    edit(contest / A, lambda lines: lines[:-1])
    found = {(finding.check, finding.file) for finding in serious(check(contest))}
    assert found == {("files", None), ("rows", A)}


def test_the_folder_is_checked_too(contest: Path) -> None:
    (contest / "OCNLI_a.csv").unlink()
    (contest / "TNEWS_train1128.csv").write_bytes(b"0\tx\t115\n")
    (contest / "TNEWS_notes.txt").write_bytes(b"")
    (contest / "OCNLI_test.csv").mkdir()
    report = check(contest)
    messages = {(finding.level, finding.check): finding.text() for finding in report.findings}
    assert "several train files of TNEWS that differ" in messages["error", "files"]
    assert "the a file of OCNLI is missing" in messages["warning", "files"]
    unknown = [finding.file for finding in report.findings if finding.check == "unknown_name"]
    assert sorted(map(str, unknown)) == ["OCNLI_test.csv (a folder)", "TNEWS_notes.txt"]
    assert not report.ok


def test_the_same_file_twice_is_read_once(contest: Path) -> None:
    (contest / "OCEMOTION_train1128.csv").write_bytes((contest / TRAIN).read_bytes())
    assert check(contest).ok and len(check(contest).scans) == 12


def test_own_tasks_have_no_official_counts_and_any_ids(tmp_path: Path) -> None:
    task = Task("SHOP", ("idx", "text", "label"), "text", ("good", "bad"))
    (tmp_path / "SHOP_train.csv").write_text("x1\t天\tgood\nx2\t地\tbad\n", encoding="utf-8")
    (tmp_path / "SHOP_test.csv").write_text("9\t天地\n7\t地\n", encoding="utf-8")
    report = check(tmp_path, tasks=(task,))
    assert [finding.check for finding in report.findings] == ["shared_texts"]


def test_no_folder_and_no_file_are_user_errors(tmp_path: Path) -> None:
    (tmp_path / "TNEWS_train.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match="no contest file; looked for <TASK>_train.csv.*There is TNEWS_train.xlsx"):
        check(tmp_path)
    for path in (tmp_path / "none", tmp_path / "TNEWS_train.xlsx"):
        with pytest.raises(UserError, match="is not a folder"):
            check(path)


@pytest.mark.skipif(not REAL.is_dir(), reason="TIANCHI_DATA names no folder of the contest's files")
def test_the_contests_files() -> None:
    report = check(REAL)
    assert report.ok
    (shared,) = [found for found in report.findings if found.check == "shared_texts" and found.task == "TNEWS"]
    assert (shared.file, shared.count) == ("TNEWS_dev.csv", 571)
    assert "of board a 173 of 1,500 (11.5%); of board b none. So dev is too kind a forecast of board b." in shared.message
    wide = [found.file for found in report.findings if found.check == "width"]
    assert wide == ["tnews_test_B.csv", "OCEMOTION_a.csv", "ocemotion_test_B.csv"]
