"""A submission that passes the check, and the test files it answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.submission.writer import write_predictions
from easytransfer_mtl.tasks import CONTEST_TASKS

ROWS = 30


@pytest.fixture
def write_good() -> Callable[[Path, int], Path]:
    """Writes a good submission of so many rows a task, every label in turn, and returns its folder."""

    def write(folder: Path, rows: int) -> Path:
        for task in CONTEST_TASKS:
            labels = [task.label_enumerate_values[i % task.num_labels] for i in range(rows)]
            write_predictions(folder / task.submission_file, [str(i) for i in range(rows)], labels)
        return folder

    return write


@pytest.fixture
def good(tmp_path: Path, write_good: Callable[[Path, int], Path]) -> Path:
    """A folder with a good submission of ``ROWS`` rows a task."""
    return write_good(tmp_path / "good", ROWS)


@pytest.fixture
def tests(tmp_path: Path) -> dict[str, Path]:
    """Task name to the test file that ``good`` answers, with CRLF and a lone quote as in the contest's files."""
    paths = {task.name: tmp_path / f"{task.name}_a.csv" for task in CONTEST_TASKS}
    for task in CONTEST_TASKS:
        texts = "\tone\ttwo" if task.second_sequence else '\t"one'
        paths[task.name].write_bytes("".join(f"{i}{texts}\r\n" for i in range(ROWS)).encode("utf-8"))
    return paths
