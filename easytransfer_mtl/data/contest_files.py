"""Finds the contest's files in a folder by their known names."""

import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.data.table_form import JSON_ENDINGS, TABLE_ENDINGS
from easytransfer_mtl.data.wrong_files import head_of
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.tasks import Task, task_named

NAMES: dict[str, tuple[str, ...]] = {
    "train": ("{task}_train.csv", "{task}_train1128.csv", "{task}/train.csv", "{task}/total.csv"),
    "dev": ("{task}_dev.csv", "{task}/dev.csv"),
    "test": ("{task}_test.csv", "{task}/test.csv"),
    "b": ("{task}_test_b.csv", "{task}_b.csv", "b/{task}_test_b.csv"),
    "a": ("{task}_a.csv", "{task}_test_a.csv"),
}
"""Kind of file -> examples of its names, for messages; ``find_files`` accepts more."""

AUTO_BOARDS = ("test", "b", "a")
TOTAL = "total"
"""Kind of a train file whose name says that it holds the dev rows too."""
DEV_PART = "dev_part"
"""Kind of the dev rows that ``convert`` split off a train file; in its folder they are split/<TASK>/<name>_dev_part.csv."""

_TRAIN = r"train(\d*|\.\d+k)"
"""With the day of a contest file, or the number of rows of one of CLUE's (train.50k.json)."""
_WORDS = (
    ("train", _TRAIN), (TOTAL, "total"), ("dev", "dev"), (DEV_PART, f"({_TRAIN}|total)_dev_part"), ("test", "test"),
    ("a", "(test_)?a"), ("b", "(test_)?b"),
)  # fmt: skip
_FOLDERS = {"tianchi_datasets": None, "tcdata": None, "nlp_round1_data": "a", "nlp_round2_data": "b", "a": "a", "b": "b"}
"""Folders in which the contest's files were published -> the board of the unlabelled files in them, or None."""
_ENDINGS = (*TABLE_ENDINGS, *JSON_ENDINGS)
_DEEPEST = 4


@dataclass
class _Listing:
    """The contest's files in a folder.

    Attributes:
        found: (kind, task name) -> paths, the shortest first.
        others: paths of files that have a task's name in theirs but are not recognized, and of folders with a file's name.
    """

    folder: Path
    found: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def one(self, kind: str, task: Task) -> Path | None:
        """Returns the task's file of a kind, or None if there is none.

        Raises:
            UserError: there are several files with different content.
        """
        paths = self.found.get((kind, task.name), [])
        if len(paths) > 1 and len({sha256_of(path) for path in paths}) > 1:
            each = listed([f"{path.relative_to(self.folder)} ({path.stat().st_size:,} bytes)" for path in paths], " and ")
            what = f"{self.folder} has several {kind} files of {task.name} that differ"
            raise UserError(f"{what}: {each}. Leave only one there.")
        return paths[0] if paths else None

    def all_of(self, kind: str, tasks: Sequence[Task]) -> dict[str, Path]:
        paths = {task.name: self.one(kind, task) for task in tasks}
        return {name: path for name, path in paths.items() if path is not None}

    def names(self, kind: str, tasks: Sequence[Task]) -> list[str]:
        """Returns the paths of all files of a kind, relative to the folder."""
        paths = (path for task in tasks for path in self.found.get((kind, task.name), []))
        return [str(path.relative_to(self.folder)) for path in paths]

    def missing(self, kind: str, tasks: Sequence[Task]) -> list[str]:
        return [task.name for task in tasks if (kind, task.name) not in self.found]


def _listing(folder: str | os.PathLike[str], tasks: Sequence[Task]) -> _Listing:
    listing = _Listing(Path(folder))
    if not listing.folder.is_dir():
        raise UserError(f"data_dir {folder} is not a folder.")
    names = _names_of(tasks)
    for path in sorted(_files(listing.folder, set(names)), key=lambda path: (len(path.parts), len(path.name), path)):
        *folders, name = map(_plain, path.relative_to(listing.folder).parts)
        meaning = _meaning(folders, name, names)
        if meaning and path.is_dir():
            listing.others.append(f"{path.relative_to(listing.folder)} (a folder)")
        elif meaning:
            listing.found.setdefault(meaning, []).append(path)
        elif any(task in name for task in names):
            listing.others.append(str(path.relative_to(listing.folder)))
    for meaning, paths in listing.found.items():
        # Beside a table, other JSON than lines is something else, such as the features of its rows.
        rows = [path for path in paths if path.suffix.lower() != ".json" or head_of(path).lstrip().startswith(b"{")]
        listing.others += [str(path.relative_to(listing.folder)) for path in paths if rows and path not in rows]
        listing.found[meaning] = rows or paths
    return listing


def _names_of(tasks: Sequence[Task]) -> dict[str, str]:
    """Returns the names by which files and folders go, in lower case -> task name."""
    return {_plain(name): task.name for task in tasks for name in (task.name, task.file_name)}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()  # macOS takes letters apart


def _files(folder: Path, task_names: set[str], depth: int = 1) -> Iterator[Path]:
    """Yields the files in a folder and in its subfolders that are named as in ``_FOLDERS`` or after a task.

    A folder whose name ends as a file's is yielded too, so that it can be named.
    """
    for path in folder.iterdir():
        if path.is_file() or path.suffix.lower() in _ENDINGS and path.is_dir():
            yield path
        elif depth < _DEEPEST and path.is_dir() and _plain(path.name) in {*_FOLDERS, *task_names}:
            yield from _files(path, task_names, depth + 1)


def _meaning(folders: list[str], name: str, names: dict[str, str]) -> tuple[str, str] | None:
    """Returns (kind, task name) of a file, or None if its name is not known; all path parts must be in lower case."""
    stem, ending = os.path.splitext(name)
    named = [task for task in names if stem.startswith(f"{task}_")]
    if named:
        task = max(named, key=len)
        stem = stem[len(task) + 1 :]
    elif folders and folders[-1] in names:
        task = folders[-1]
    else:
        return None
    boards = [board for part in folders if (board := _FOLDERS.get(part))]
    for kind, pattern in _WORDS:
        if ending in _ENDINGS and re.fullmatch(pattern, stem):
            return (boards[-1] if kind == "test" and boards else kind), names[task]
    return None


def meaning_of(path: Path, tasks: Sequence[Task]) -> tuple[str, Task] | None:
    """Returns what a contest file's name says, as in ``find_files``: its kind and task; None for any other file."""
    meaning = _meaning([*map(_plain, path.absolute().parts[:-1])], _plain(path.name), _names_of(tasks))
    return (meaning[0], task_named(meaning[1], tuple(tasks))) if meaning else None


def find_files(folder: str | os.PathLike[str], kind: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> file of one kind of ``NAMES``, for the tasks that have one.

    A file is named ``<TASK>_<word>`` or lies in a folder ``<TASK>``, and ends with .csv, .tsv, .jsonl, .ndjson or .json. It
    lies in ``folder`` or below it in ``tianchi_datasets``, ``tcdata``, ``nlp_round1_data`` or ``a`` (board a),
    ``nlp_round2_data`` or ``b`` (board b). The words are train (also with a number after it), total, dev, test, a or test_a,
    b or test_b; a test file in a board's folder belongs to that board. Upper and lower case are the same. ``total`` is the
    train file if there is no other.

    Raises:
        UserError: the folder does not exist, or a task has several files of the kind with different content.
    """
    return _find(_listing(folder, tasks), kind, tasks)


def _find(listing: _Listing, kind: str, tasks: Sequence[Task]) -> dict[str, Path]:
    found = listing.all_of(kind, tasks)
    if kind == "train":
        for task in tasks:
            total = listing.one(TOTAL, task)
            if total and task.name in found:
                logging.info("%s is not read: %s is there", total, found[task.name])
            elif total:
                found[task.name] = total
    return found


@dataclass(frozen=True)
class ContestFile:
    """A contest file.

    Attributes:
        kind: one of ``NAMES``, ``TOTAL`` or ``DEV_PART``.
        task: its task.
        path: where it is.
    """

    kind: str
    task: Task
    path: Path

    @property
    def labelled(self) -> bool:
        """Whether its rows have labels."""
        return self.kind not in AUTO_BOARDS


def list_files(folder: str | os.PathLike[str], tasks: tuple[Task, ...]) -> tuple[list[ContestFile], list[str]]:
    """Returns all contest files in a folder, see ``find_files``, in the order of tasks and kinds.

    Of files with the same content and meaning only the first is returned.

    Returns:
        The files, and the paths of others that have a task's name in theirs but are not recognized.

    Raises:
        UserError: the folder does not exist.
    """
    listing = _listing(folder, tasks)
    files = []
    for task in tasks:
        for kind, _ in _WORDS:
            paths = listing.found.get((kind, task.name), [])
            contents = {sha256_of(path): path for path in reversed(paths)} if len(paths) > 1 else dict(enumerate(paths))
            files += [ContestFile(kind, task, path) for path in paths if path in contents.values()]
    return files, listing.others


def recognized_files(folder: str | os.PathLike[str], task: Task) -> list[Path]:
    """Returns all files of a task in a folder, of every kind, see ``find_files``; raises UserError if it does not exist."""
    return [path for (_, name), paths in _listing(folder, (task,)).found.items() if name == task.name for path in paths]


def require_files(folder: str | os.PathLike[str], kind: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> file like ``find_files``, but every task must have one.

    Raises:
        UserError: a task has no file; the message lists the expected names and similar files.
    """
    return _require(_listing(folder, tasks), kind, tasks)


def require_dev_files(folder: str | os.PathLike[str], tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> dev file, or the part that ``convert`` split off; every task must have one.

    Raises:
        UserError: a task has no file; the message lists the expected names and similar files.
    """
    listing = _listing(folder, tasks)
    found = listing.all_of(DEV_PART, tasks) | listing.all_of("dev", tasks)
    return found if len(found) == len(tasks) else _require(listing, "dev", tasks)


def _require(listing: _Listing, kind: str, tasks: Sequence[Task], boards: Sequence[str] = ()) -> dict[str, Path]:
    found = _find(listing, kind, tasks)
    missing = [task.name for task in tasks if task.name not in found]
    if missing:
        others = [name for name in listing.others if any(task.lower() in name.lower() for task in missing)]
        there = f" There is {listed(others)}." if others else ""
        there += "".join(f" {_also(listing, other, tasks)}." for other in boards)
        looked_for = _names(kind, missing[0])
        raise UserError(f"{listing.folder} has no {kind} file of {', '.join(missing)}; looked for {looked_for}.{there}")
    return found


def _names(kind: str, task_name: str) -> str:
    return " or ".join(name.format(task=task_name) for name in NAMES[kind])


def find_labelled(folder: str | os.PathLike[str], tasks: tuple[Task, ...]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Returns task name -> train file for every task, and task name -> dev file for the tasks that have one.

    Raises:
        UserError: a task has no train file or several different files of a kind, or its train and dev file are not from one
            split, so that training would see rows that are scored.
    """
    listing = _listing(folder, tasks)
    train, dev = _require(listing, "train", tasks), _find(listing, "dev", tasks)
    for name, path in dev.items():
        mate = train[name]
        if mate in listing.found.get((TOTAL, name), []):
            raise UserError(
                f"{name}: {mate} has all rows by its name, those of {path} too, so that training would see the rows that "
                "are scored. Take one of them away, or add train.csv, which then is the train file."
            )
        if mate.parent != path.parent:
            raise UserError(
                f"{name}: {mate} and {path} lie in different folders, so they may not be of one split. Leave the train and "
                "dev file of one split, in one folder."
            )
    return train, dev


def find_test_files(folder: str | os.PathLike[str], board: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Returns task name -> unlabelled file of a board.

    The board ``auto`` is the first of test, b, a that is found; if there are others, the log names the choice and the
    reason.

    Raises:
        UserError: there are no files, or the board (with ``auto`` the first that is found) lacks those of some tasks.
    """
    listing = _listing(folder, tasks)
    there = [kind for kind in AUTO_BOARDS if listing.names(kind, tasks)]
    if board != "auto":
        return _require(listing, board, tasks, [kind for kind in there if kind != board])
    if not there:
        looked_for = "; or ".join(_names(kind, tasks[0].name) for kind in AUTO_BOARDS)
        also = f" There is {listed(listing.others)}." if listing.others else ""
        raise UserError(f"{folder} has no test file; looked for {looked_for}, and alike for the other tasks.{also}")
    chosen, *others = there
    each, missing = listed(listing.names(chosen, tasks)), listing.missing(chosen, tasks)
    if missing:
        also = "".join(f" {_also(listing, kind, tasks)}." for kind in others)
        raise UserError(
            f"{folder} has no file of {', '.join(missing)} of board {chosen} ({each}); looked for "
            f"{_names(chosen, missing[0])}. Add it.{also}"
        )
    for kind in others:
        why = f"the first of {', '.join(AUTO_BOARDS)} that is there"
        logging.info("board %s is taken (%s), %s. %s", chosen, each, why, _also(listing, kind, tasks))
    return _find(listing, chosen, tasks)


def _also(listing: _Listing, kind: str, tasks: Sequence[Task]) -> str:
    """Returns a part of a message: another board's files exist, and how to choose them or which are missing."""
    missing = listing.missing(kind, tasks)
    how = f"no file of {', '.join(missing)}" if missing else f"--board={kind} takes it"
    return f"Board {kind} is there ({listed(listing.names(kind, tasks))}): {how}"


def report_boards(folder: str | os.PathLike[str], tasks: tuple[Task, ...]) -> None:
    """Logs which board's files ``find_test_files`` will take if there is a choice, or warns why it will take none."""
    listing = _listing(folder, tasks)
    if any(listing.names(kind, tasks) for kind in AUTO_BOARDS):
        try:
            find_test_files(folder, "auto", tasks)
        except UserError as error:
            logging.warning("A submission will not be possible yet: %s", error)


def parse_task_paths(text: str, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """Parses ``TNEWS=a.csv,OCNLI=b.csv`` into task name -> path.

    Raises:
        UserError: an item is not TASK=FILE, or a task is unknown or given twice.
    """
    found: dict[str, Path] = {}
    for item in text.split(","):
        name, _, path = item.partition("=")
        if not path.strip():
            raise UserError(f"predict_input_fp: {shown(item)} is not TASK=FILE.")
        task = task_named(name.strip(), tasks)
        if task.name in found:
            raise UserError(f"predict_input_fp: {task.name} is given twice.")
        found[task.name] = Path(path.strip())
    return found
