"""The contest's files in a folder, under the names that they go by."""

import os
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task, task_named

NAMES: dict[str, tuple[str, ...]] = {
    "train": ("{task}_train.csv", "{task}_train1128.csv", "{task}/train.csv", "{task}/total.csv"),
    "dev": ("{task}_dev.csv", "{task}/dev.csv"),
    "test": ("{task}_test.csv", "{task}/test.csv"),
    "b": ("{task}_test_b.csv", "{task}_b.csv"),
    "a": ("{task}_a.csv", "{task}_test_a.csv"),
}
"""Kind of file to its possible names below the folder; upper and lower case are the same."""

AUTO_BOARDS = ("test", "b", "a")


def find_files(folder: str | os.PathLike[str], kind: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> file of one kind of ``NAMES``, for the tasks that have one.

    Raises:
        UserError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_dir {folder} is not a folder.")
    paths = sorted(path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file())
    there = {path.relative_to(folder).as_posix().lower(): path for path in paths}
    found = {}
    for task in tasks:
        names = [name.format(task=task.name).lower() for name in NAMES[kind]]
        named = [there[name] for name in names if name in there]
        if named:
            found[task.name] = named[0]
    return found


def require_files(folder: str | os.PathLike[str], kind: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """The same as ``find_files``, but every task must have one.

    Raises:
        UserError: a task has none; lists the names looked for.
    """
    found = find_files(folder, kind, tasks)
    missing = [task.name for task in tasks if task.name not in found]
    if missing:
        raise UserError(f"{folder} has no {kind} file of {', '.join(missing)}; looked for {_names(kind, missing[0])}.")
    return found


def _names(kind: str, task_name: str) -> str:
    return " or ".join(name.format(task=task_name) for name in NAMES[kind])


def find_test_files(folder: str | os.PathLike[str], board: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns the unlabelled files of a board, ``auto`` being the first of test, b, a that every task has.

    Raises:
        UserError: there are none.
    """
    if board != "auto":
        return require_files(folder, board, tasks)
    for kind in AUTO_BOARDS:
        found = find_files(folder, kind, tasks)
        if len(found) == len(tasks):
            return found
    looked_for = "; or ".join(_names(kind, tasks[0].name) for kind in AUTO_BOARDS)
    raise UserError(f"{folder} has no kind of test file for every task; looked for {looked_for}, and alike for the others.")


def parse_task_paths(text: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Parses ``TNEWS=a.csv,OCNLI=b.csv``.

    Raises:
        UserError: an item is not TASK=FILE, or a task is unknown or given twice.
    """
    found: dict[str, Path] = {}
    for item in text.split(","):
        name, _, path = item.partition("=")
        if not path.strip():
            raise UserError(f"predict_input_fp: {item!r} is not TASK=FILE.")
        task = task_named(name.strip(), tasks)
        if task.name in found:
            raise UserError(f"predict_input_fp: {task.name} is given twice.")
        found[task.name] = Path(path.strip())
    return found
