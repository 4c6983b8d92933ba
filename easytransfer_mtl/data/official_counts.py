"""How many rows the contest's published files have, and the ids that they begin with."""

from easytransfer_mtl.tasks import CONTEST_TASKS, Task

BOARD_ROWS = 1500
"""Rows of every test file, on both boards."""
TRAIN_ROWS: dict[str, tuple[int, int]] = {
    "TNEWS": (63_360, 53_360),
    "OCEMOTION": (35_694, 31_728),
    "OCNLI": (53_387, 50_437),
}
"""Task -> rows of <TASK>_train1128.csv, and of the <TASK>_train.csv before it, which lacks CLUE's dev rows at the end."""
_FIRST_ID_ON_B = {"OCNLI": 1500}


def is_contest_task(task: Task) -> bool:
    """Returns whether a task has the name and the labels of one of the contest's."""
    return any(task.name == own.name and set(task.label_enumerate_values) == set(own.label_enumerate_values)
               for own in CONTEST_TASKS)  # fmt: skip


def first_id(task: Task, kind: str) -> int:
    """Returns the id of the first row of a contest task's published file of a kind (see ``contest_files.NAMES``)."""
    return _FIRST_ID_ON_B.get(task.name, 0) if kind == "b" else 0
