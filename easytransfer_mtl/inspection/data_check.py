"""Checks a folder of contest files, without changing anything."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.config.sections import SEQUENCE_LENGTH
from easytransfer_mtl.data.contest_files import AUTO_BOARDS, ContestFile, find_labelled, list_files
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.evaluation.tables import aligned
from easytransfer_mtl.inspection.file_checks import FileCheck, names_looked_for
from easytransfer_mtl.inspection.file_scan import FileScan, scan_file
from easytransfer_mtl.inspection.findings import ERROR, LEVELS, NOTE, WARNING, Finding, count_by_level, summary_line
from easytransfer_mtl.inspection.task_checks import TaskCheck
from easytransfer_mtl.tasks import Task


@dataclass(frozen=True)
class DataReport:
    """What was found in a folder.

    Attributes:
        folder: the folder.
        scans: its files.
        findings: what was found, errors first.
    """

    folder: Path
    scans: tuple[FileScan, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings and notes are allowed."""
        return not count_by_level(self.findings)[ERROR]

    def text(self) -> str:
        """Returns a table of the files, the findings, and their number."""
        table = [["file", "task", "kind", "rows", "bad", "line ends"]]
        table += [
            [
                self._name(scan), scan.file.task.name, scan.file.kind, "-" if scan.problem else f"{scan.rows:,}",
                f"{len(scan.tally.bad_rows):,}", scan.line_ends.name,
            ]
            for scan in self.scans
        ]  # fmt: skip
        lines = [finding.text() for finding in self.findings]
        return (
            aligned(table) + "\n" + "".join(f"{line}\n" for line in [*lines, summary_line(str(self.folder), self.findings)])
        )

    def to_json(self) -> dict[str, Any]:
        """Returns files and findings as a JSON object."""
        return {
            "data_dir": str(self.folder),
            **{f"{level}s": count for level, count in count_by_level(self.findings).items()},
            "files": [
                {
                    "file": self._name(scan),
                    "task": scan.file.task.name,
                    "kind": scan.file.kind,
                    "bytes": scan.size,
                    "rows": None if scan.problem else scan.rows,
                    "bad_rows": len(scan.tally.bad_rows),
                    "line_ends": scan.line_ends.name,
                    "bom": scan.has_bom,
                    "full_width_share": scan.wide_share,
                }
                for scan in self.scans
            ],
            "findings": [finding.to_json() for finding in self.findings],
        }

    def _name(self, scan: FileScan) -> str:
        return str(scan.file.path.relative_to(self.folder))


def check_data(
    folder: str | os.PathLike[str], tasks: tuple[Task, ...], header: bool = False, sequence_length: int = SEQUENCE_LENGTH
) -> DataReport:
    """Reads all contest files in a folder and checks them.

    Args:
        folder: the folder; ``find_files`` says which files in it are read.
        tasks: the tasks.
        header: whether the first line of every file is a header.
        sequence_length: in tokens, of tagged texts; what is behind it is counted.

    Raises:
        UserError: the folder does not exist, or no contest file is in it.
    """
    files, others = list_files(folder, tasks)
    if not files:
        there = f" There is {listed(others)}." if others else ""
        raise UserError(f"{folder} has no contest file; looked for {names_looked_for()}, and in their folders.{there}")
    path = Path(folder)
    scans = tuple(scan_file(file, header, sequence_length) for file in files)
    found = list(_folder_findings(path, tasks, files, others))
    for task in tasks:
        of_task = [scan for scan in scans if scan.file.task is task]
        for scan in of_task:
            found += FileCheck(scan, path).findings()
        found += TaskCheck([scan for scan in of_task if not scan.problem], path).findings()
    return DataReport(path, scans, tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level))))


def _folder_findings(
    folder: Path, tasks: tuple[Task, ...], files: Sequence[ContestFile], others: Sequence[str]
) -> Iterator[Finding]:
    try:
        find_labelled(folder, tasks)
    except UserError as error:
        yield Finding(ERROR, "files", str(error), "")
    for kind in AUTO_BOARDS:
        there = [file.task.name for file in files if file.kind == kind]
        missing = [task.name for task in tasks if task.name not in there]
        twice = sorted({name for name in there if there.count(name) > 1})
        if twice:
            message = f"there are several {kind} files of {listed(twice)} with different content."
            yield Finding(ERROR, "files", message, "Leave only one of each there.")
        if there and missing:
            message = f"the {kind} file of {listed(missing)} is missing, and those of {listed(there)} are there."
            yield Finding(WARNING, "files", message, "Add it: a submission needs the files of all tasks.")
    for name in others:
        message = "the name is not one under which a file is read."
        yield Finding(NOTE, "unknown_name", message, f"Names are {names_looked_for()}.", file=name)
