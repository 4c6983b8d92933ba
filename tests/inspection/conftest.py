"""An invented folder in the shape of the contest's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.data.official_counts import BOARD_ROWS, first_id
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

LETTERS = list("天地人日月山水火木金土心手口目耳田禾米竹云雨风雪花草虫鱼鸟石")
TRAIN_ROWS, DEV_ROWS = 60, 15


@pytest.fixture(scope="session")
def write_contest(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Writes <TASK>_train.csv, _dev.csv, _a.csv and b/<task>_test_B.csv of invented rows, in which nothing is wrong."""
    files: dict[str, bytes] = {}
    for task in CONTEST_TASKS:
        random = np.random.default_rng(len(task.name))
        files[f"{task.name}_train.csv"] = _lines(task, random, 0, TRAIN_ROWS, True)
        files[f"{task.name}_dev.csv"] = _lines(task, random, TRAIN_ROWS, DEV_ROWS, True)
        files[f"{task.name}_a.csv"] = _lines(task, random, 0, BOARD_ROWS, False)
        files[f"b/{task.name.lower()}_test_B.csv"] = _lines(task, random, first_id(task, "b"), BOARD_ROWS, False)

    def write(folder: Path) -> Path:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return write


def _lines(task: Task, random: np.random.Generator, first: int, rows: int, labelled: bool) -> bytes:
    lines = []
    for number in range(first, first + rows):
        texts = ["".join(random.choice(LETTERS, 12)) + "," for _ in range(2 if task.second_sequence else 1)]
        label = [task.label_enumerate_values[number % task.num_labels]] if labelled else []
        lines.append("\t".join([str(number), *texts, *label]) + "\r\n")
    return "".join(lines).encode()


@pytest.fixture
def contest(write_contest: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A fresh copy of the invented folder."""
    return write_contest(tmp_path / "contest")
