"""Every rule about lines, labels and ids, with a submission that passes it and one that does not."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.submission.checker import CheckReport, check_submission, report_text
from easytransfer_mtl.submission.writer import package
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, OCNLI, TNEWS, Task

ROWS = 30


def change(folder: Path, task: Task, edit: Callable[[list[str]], Sequence[str]]) -> None:
    path = folder / task.submission_file
    path.write_bytes("".join(line + "\n" for line in edit(path.read_text(encoding="utf-8").splitlines())).encode("utf-8"))


def checked(source: Path, tests: dict[str, Path]) -> CheckReport:
    return check_submission(source, CONTEST_TASKS, tests)


def the_error(report: CheckReport) -> str:
    assert len(report.errors) == 1, report_text(report)
    return report.errors[0]


def test_a_good_folder_and_archive_pass(good: Path, tests: dict[str, Path]) -> None:
    for source in (good, package(good, CONTEST_TASKS)):
        report = checked(source, tests)
        assert report.ok
        assert (report.errors, report.warnings) == ((), ())
    (good / TNEWS.submission_file).write_bytes((good / TNEWS.submission_file).read_bytes().removesuffix(b"\n"))
    assert checked(good, tests).ok


def test_without_test_files_1500_lines_are_expected(
    tmp_path: Path, good: Path, write_good: Callable[[Path, int], Path]
) -> None:
    report = check_submission(good, CONTEST_TASKS)
    assert report.ok
    assert len(report.warnings) == 3
    assert "has 30 lines" in report.warnings[0]
    assert check_submission(write_good(tmp_path / "full", 1500), CONTEST_TASKS).warnings == ()


def test_missing_source_or_test_file(tmp_path: Path, good: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        check_submission(tmp_path / "none.zip", CONTEST_TASKS)
    with pytest.raises(UserError, match="TNEWS: the test file .* does not exist"):
        check_submission(good, CONTEST_TASKS, {"tnews": tmp_path / "none.csv"})
    with pytest.raises(UserError, match="TNEWS: the test file .* is a folder, not a file"):
        check_submission(good, CONTEST_TASKS, {"tnews": tmp_path})
    with pytest.raises(UserError, match="No task is called"):
        check_submission(good, CONTEST_TASKS, {"other": tmp_path / "none.csv"})


@pytest.mark.skipif(os.name != "posix", reason="devices have paths on POSIX only")
def test_a_device_is_no_submission() -> None:
    with pytest.raises(UserError, match="/dev/zero is no regular file"):
        check_submission(Path("/dev/zero"), CONTEST_TASKS)


def test_name_of_the_archive(good: Path, tests: dict[str, Path]) -> None:
    report = checked(package(good, CONTEST_TASKS, zip_name="submit.zip"), tests)
    assert report.ok
    assert "only result.zip is recognised" in report.warnings[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "line 3 is not JSON"),
        ("{'id': '2'}", "line 3 is not JSON"),
        ('["2", "0"]', "line 3 must look like"),
        ('{"id": "2"}', "line 3 must look like"),
        ('{"id": "2", "label": "2", "score": "1"}', "line 3 must look like"),
        ('{"id": "2", "ID": "2"}', "line 3 must look like"),
        ('{"id": "2", "id": "2", "label": "2"}', "a key stands there twice"),
        ('{"id": 2, "label": "2"}', "line 3: id is 2; it must be a string in quotes"),
        ('{"id": "2", "label": 2}', "line 3: label is 2; it must be a string in quotes"),
        ('{"id": "2", "label": null}', "line 3: label is null; it must be a string in quotes"),
        ('{"id": "2", "label": true}', "line 3: label is true; it must be a string in quotes"),
        ("[" * 100_000, "line 3 is not JSON"),
    ],
)
def test_bad_lines(good: Path, tests: dict[str, Path], line: str, message: str) -> None:
    change(good, OCNLI, lambda lines: [*lines[:2], line, *lines[3:]])
    assert message in the_error(checked(good, tests))


def test_bytes_that_are_not_utf8_and_byte_order_mark(good: Path, tests: dict[str, Path]) -> None:
    path = good / OCNLI.submission_file
    content = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert "byte order mark" in the_error(checked(good, tests))
    path.write_bytes(content.replace(b'"label": "1"', b'"label": "\xff"', 1))
    assert "line 2 is not JSON" in the_error(checked(good, tests))


def test_crlf_warns(good: Path, tests: dict[str, Path]) -> None:
    path = good / OCNLI.submission_file
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    report = checked(good, tests)
    assert report.ok
    assert "CRLF" in report.warnings[0]


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        (OCEMOTION, '"3"', "'3' is a label id where the label is wanted; at this position stands 'anger'"),
        (TNEWS, '"7"', "'7' is a label id where the label is wanted; at this position stands '112'"),
        (OCEMOTION, '"Anger"', "label 'Anger' is unknown; the labels are like, happiness"),
        (OCNLI, '"3"', "label '3' is unknown; the labels are 0, 1, 2"),
        (TNEWS, '"105"', "label '105' is unknown"),
    ],
)
def test_labels(good: Path, tests: dict[str, Path], task: Task, label: str, message: str) -> None:
    change(good, task, lambda lines: [f'{{"id": "0", "label": {label}}}', *lines[1:]])
    assert f"{task.submission_file}: line 1: {message}" in the_error(checked(good, tests))


def test_a_number_is_checked_further(good: Path, tests: dict[str, Path]) -> None:
    change(good, TNEWS, lambda lines: ['{"id": 0, "label": 7}', *lines[1:]])
    errors = checked(good, tests).errors
    assert [word in error for word, error in zip(("id is 0", "label is 7", "label id"), errors, strict=True)] == [True] * 3


def test_a_label_that_is_never_predicted_warns(good: Path, tests: dict[str, Path]) -> None:
    change(good, OCEMOTION, lambda lines: [line.replace("fear", "like").replace("surprise", "like") for line in lines])
    report = checked(good, tests)
    assert report.ok
    assert report.warnings == ("ocemotion_predict.json: never predicts fear, surprise, which then has an F1 of 0.",)


def test_repeated_ids(good: Path) -> None:
    change(good, OCNLI, lambda lines: [*lines[:4], lines[1], *lines[5:]])
    assert "line 5: id '1' is on line 2 already" in the_error(check_submission(good, CONTEST_TASKS))


def test_number_of_lines(good: Path, tests: dict[str, Path]) -> None:
    change(good, OCNLI, lambda lines: lines[:-1])
    assert the_error(checked(good, tests)) == "ocnli_predict.json: has 29 lines, but the test file has 30 rows."
    change(good, OCNLI, lambda lines: [])
    assert "has 0 lines" in the_error(checked(good, tests))
    assert "is empty" in the_error(check_submission(good, CONTEST_TASKS))


def test_order_of_ids(good: Path, tests: dict[str, Path]) -> None:
    change(good, OCNLI, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    message = the_error(checked(good, tests))
    assert "line 2: id '2', but the test file has '1'. The ids are right but in another order" in message
    change(good, OCNLI, lambda lines: [json.dumps({"id": f"0{i}", "label": "1"}) for i in range(ROWS)])
    assert "line 1: id '00', but the test file has '0'. Write the ids" in the_error(checked(good, tests))


def test_ids_of_ocnli_b_must_not_be_counted_from_0(good: Path, tests: dict[str, Path]) -> None:
    tests["OCNLI"].write_bytes(b"".join(b"%d\tone\ttwo\n" % (1500 + i) for i in range(ROWS)))
    message = the_error(checked(good, tests))
    assert "line 1: id '0', but the test file has '1500'. The ids were counted from 0" in message
    change(good, OCNLI, lambda lines: [json.dumps({"id": str(1500 + i), "label": str(i % 3)}) for i in range(ROWS)])
    assert checked(good, tests).ok


def test_five_of_a_kind_and_the_rest_counted(good: Path, tests: dict[str, Path]) -> None:
    change(good, TNEWS, lambda lines: [f'{{"id": "{i}", "label": {i % 15}}}' for i in range(ROWS)])
    errors = checked(good, tests).errors
    assert len(errors) == 12
    assert errors[5] == "tnews_predict.json: and 25 more (label is not a string)."
    assert errors[11] == "tnews_predict.json: and 25 more (label ids instead of labels)."


def test_report_text(good: Path, tests: dict[str, Path]) -> None:
    assert report_text(checked(good, tests)) == f"{good}: ready to submit (errors: 0, warnings: 0)\n"
    report = CheckReport("result.zip", ("a: wrong.",), ("b: odd.",))
    text = "result.zip: not ready to submit (errors: 1, warnings: 1)\nerror: a: wrong.\nwarning: b: odd.\n"
    assert report_text(report) == text


def test_ids_are_taken_as_they_stand(good: Path, tests: dict[str, Path]) -> None:
    ids = ["007", "1500", " a ", '"3"']
    rows = '\ufeff007\t"one\r\n1500\ttwo"\x0b\x0c\r three\u2028\n a \tx\n"3"\tlast'
    tests["TNEWS"].write_bytes(rows.encode("utf-8"))
    change(good, TNEWS, lambda lines: [json.dumps({"id": id_, "label": "115"}) for id_ in ids])
    assert checked(good, tests).ok
    tests["TNEWS"].write_bytes("".join(f"x{line}\n" for line in rows.split("\n")).encode("utf-8"))
    assert "line 1: id '007', but the test file has 'x" in the_error(checked(good, tests))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "TNEWS_a.csv is empty"),
        (b"0\tx\n\xff\tx\n", "line 2: byte 1 of the line is not UTF-8"),
        (b"0\n", "line 1: found 1 columns, expected 2"),
        (b"0\tx\t115\n", "is it a file with labels"),
        (b"id\ttext\n0\tx\n", "line 1: id 'id' looks like a header's"),
        ("0\t今天\n".encode("gb18030") * 9, "in GBK or GB18030"),
        ("0\t今天\n".encode("utf-16"), "UTF-16 text"),
    ],
)
def test_test_files_that_cannot_be_read(good: Path, tests: dict[str, Path], data: bytes, message: str) -> None:
    tests["TNEWS"].write_bytes(data)
    with pytest.raises(UserError, match=message):
        checked(good, tests)
