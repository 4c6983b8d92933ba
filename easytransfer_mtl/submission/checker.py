"""Checks a submission before it is sent: file names, lines, labels, ids."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from easytransfer_mtl.data.official_counts import BOARD_ROWS
from easytransfer_mtl.data.table_reader import TableTally, check_rows, require_rows, split_lines, stream_rows
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import why_no_file
from easytransfer_mtl.submission.contents import read_contents
from easytransfer_mtl.submission.findings import CheckReport, Findings, report_text
from easytransfer_mtl.submission.writer import RESULT_NAME
from easytransfer_mtl.tasks import Task, task_named

__all__ = ["CONTEST_ROWS", "CheckReport", "check_submission", "report_text"]

CONTEST_ROWS = BOARD_ROWS
MAX_LINES, MAX_LINE_BYTES = 100_000, 1 << 20
"""Most lines of a prediction file that are read (or twice the rows of its test file, if that is more), and the longest
line that is parsed: parsed lines take many times their size in memory."""

_BOM = b"\xef\xbb\xbf"
_SHOWN = 60
_ID_BITS = 64


def check_submission(
    source: str | os.PathLike[str],
    tasks: Sequence[Task],
    test_files: Mapping[str, str | os.PathLike[str]] | None = None,
    header: bool = False,
) -> CheckReport:
    """Checks an archive, or a folder before it is packed, and reports all problems at once.

    Args:
        source: the zip archive or the folder.
        tasks: the tasks whose ``submission_file`` must be there.
        test_files: task name -> test file (tab separated, unlabelled). For a task without one, only the number of lines is
            compared, with ``CONTEST_ROWS``, and ids are not.
        header: whether the first line of each test file is a header.

    Raises:
        UserError: ``source`` or a test file does not exist, or a test file cannot be read.
    """
    source, findings = Path(source), Findings()
    expected = {}
    for name, path in (test_files or {}).items():
        task = task_named(name, tuple(tasks))
        expected[task.name] = _read_test_ids(task, Path(path), header)
    contents = read_contents(source, [task.submission_file for task in tasks], findings)
    if source.is_file() and source.name != RESULT_NAME:
        message = f"participants report that only {RESULT_NAME} is recognised by the contest's image. Rename it."
        findings.warning(source.name, "name", message)
    for task in tasks:
        if task.submission_file in contents:
            _check_file(task, contents[task.submission_file], expected.get(task.name), findings)
    return findings.report(str(source))


def _read_test_ids(task: Task, path: Path, header: bool) -> list[str]:
    """Returns the ids of a test file unchanged, never renumbered."""
    if not path.is_file():
        raise UserError(f"{task.name}: the test file {path} {why_no_file(path)}. Give the file that was predicted.")
    tally = TableTally(path, task, labelled=False, header=header)
    ids = [row.row_id for row in stream_rows(tally)]
    check_rows(tally)
    require_rows(tally)
    return ids


def _check_file(task: Task, data: bytes, expected: list[str] | None, findings: Findings) -> None:
    where = task.submission_file
    if data.startswith(_BOM):
        findings.error(where, "byte order mark", "starts with a byte order mark. Save it as UTF-8 without one.")
    data = data.removeprefix(_BOM)
    most = max(MAX_LINES, 2 * len(expected or ()))
    if (count := data.count(b"\n")) > most:
        findings.error(where, "rows", f"has {count:,} lines; more than {most:,} are not read. Write one for each row.")
        return
    lines = split_lines(data)
    if any(line.endswith(b"\r") for line in lines):
        findings.warning(where, "line ends", "has CRLF line ends; only LF is known to be scored.")
    rows = [_parse(line, f"line {number}", where, findings) for number, line in enumerate(lines, 1)]
    _check_labels(task, [row.get("label") for row in rows], findings)
    ids = [row.get("id") for row in rows]
    _check_unique(ids, where, findings)
    if expected is not None:
        _check_against(ids, expected, where, findings)
    elif not rows:
        findings.error(where, "empty", "is empty. Write one line for each row of the test file.")
    elif len(rows) != CONTEST_ROWS:
        findings.warning(where, "rows", f"has {len(rows)} lines; the contest's test files have {CONTEST_ROWS} rows.")


def _parse(line: bytes, number: str, where: str, findings: Findings) -> dict[str, str]:
    """Returns those of ``id`` and ``label`` that can be checked further; numbers are reported and converted to text."""
    if len(line) > MAX_LINE_BYTES:
        findings.error(where, "long lines", f"{number} has {len(line):,} bytes; at most {MAX_LINE_BYTES:,} are read.")
        return {}
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        findings.error(where, "not JSON", f"{number} is not JSON ({error}), found {line[:_SHOWN]!r}.")
        return {}
    if not isinstance(row, dict) or set(row) != {"id", "label"}:
        message = f'{number} must look like {{"id": "0", "label": "1"}} with just these keys, found {line[:_SHOWN]!r}.'
        findings.error(where, "other keys", message)
        return {}
    for key, value in list(row.items()):
        if isinstance(value, str):
            continue
        message = f"{number}: {key} is {_as_json(value)}; it must be a string in quotes."
        findings.error(where, f"{key} is not a string", message)
        if type(value) is int and value.bit_length() <= _ID_BITS:
            row[key] = str(value)
        else:
            del row[key]
    return row


def _as_json(value: Any) -> str:
    """Returns numbers, booleans and null as JSON, and other values as ``shown`` prints them."""
    return json.dumps(value)[:_SHOWN] if isinstance(value, (int, float)) or value is None else shown(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _check_labels(task: Task, labels: list[str | None], findings: Findings) -> None:
    where, known = task.submission_file, task.label_enumerate_values
    positions = {str(position): label for position, label in enumerate(known)}
    for number, label in enumerate(labels, 1):
        if label is None or label in known:
            continue
        if label in positions:
            message = f"{label!r} is a label id where the label is wanted; at this position stands {positions[label]!r}."
            findings.error(where, "label ids instead of labels", f"line {number}: {message}")
        else:
            message = f"line {number}: label {label[:_SHOWN]!r} is unknown; the labels are {', '.join(known)}."
            findings.error(where, "unknown labels", message)
    never = [label for label in known if label not in labels]
    if 0 < len(never) < len(known):
        findings.warning(where, "never predicted", f"never predicts {', '.join(never)}, which then has an F1 of 0.")


def _check_unique(ids: list[str | None], where: str, findings: Findings) -> None:
    first: dict[str, int] = {}
    for number, id_ in enumerate(ids, 1):
        if id_ is not None and first.setdefault(id_, number) != number:
            findings.error(where, "repeated ids", f"line {number}: id {id_[:_SHOWN]!r} is on line {first[id_]} already.")


def _check_against(ids: list[str | None], expected: list[str], where: str, findings: Findings) -> None:
    if len(ids) != len(expected):
        findings.error(where, "rows", f"has {len(ids)} lines, but the test file has {len(expected)} rows.")
    for number, (id_, right) in enumerate(zip(ids, expected, strict=False), 1):
        if id_ is None or id_ == right:
            continue
        hint = "Write the ids of the test file as they stand, in its order."
        if number == 1 and id_ == "0":
            hint = f"The ids were counted from 0, but this test file starts at {right} (OCNLI b starts at 1500). " + hint
        elif set(ids) == set(expected):
            hint = "The ids are right but in another order. " + hint
        findings.error(where, "other ids", f"line {number}: id {id_[:_SHOWN]!r}, but the test file has {right!r}. {hint}")
        return
