"""Splits the training TFRecords by fold: one fold is for evaluation, the others are for training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from easytransfer_mtl.config.train_settings import FoldSettings
from easytransfer_mtl.data.encoded_rows import concatenate
from easytransfer_mtl.data.folds import Folds, TaskFolds, read_folds
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.task_data import TaskData

Read = Callable[[str], list[TaskData]]


@dataclass(frozen=True)
class FoldChoice:
    """A fold file, and the fold that a run leaves out of training."""

    path: str
    folds: Folds
    fold: int

    @property
    def identity(self) -> dict[str, Any]:
        """The entry in train_config.json; runs with equal entries leave out the same rows, wherever the fold file lies."""
        return {"fold": self.fold, "num_folds": self.folds.num_folds, "folds_sha256": self.folds.sha256}


def choose_fold(settings: FoldSettings) -> FoldChoice | None:
    """Returns the fold chosen by ``--folds_file`` and ``--fold``, or None.

    Raises:
        UserError: the file is invalid, or has no such fold.
    """
    if not settings.folds_file or settings.fold is None:
        return None
    folds = read_folds(settings.folds_file)
    if settings.fold >= folds.num_folds:
        raise UserError(f"--fold is {settings.fold}; {settings.folds_file} has the folds 0 to {folds.num_folds - 1}.")
    return FoldChoice(settings.folds_file, folds, settings.fold)


def check_same_fold(folder: RunFolder, choice: FoldChoice | None) -> None:
    """Raises UserError if the run in the folder leaves out other rows than ``choice``."""
    before, now = folder.written_fold(), choice.identity if choice else None
    if before != now:
        was, wanted = (f"fold {item['fold']} of {item['num_folds']}" if item else "no fold" for item in (before, now))
        if was == wanted:
            wanted += f" of another split ({choice.path if choice else ''})"
        raise UserError(
            f"{folder.path} is a run that leaves out {was}; it cannot go on with {wanted}. Use another --model_dir."
        )


def read_fold_data(choice: FoldChoice, paths: str, read: Read) -> tuple[list[TaskData], list[TaskData]]:
    """Reads the rows of all folds and separates the chosen fold.

    Args:
        choice: the fold.
        paths: a list file or TFRecord file, or several separated by commas (train and dev of ``split --include_dev``).
        read: reads one of these files.

    Returns:
        The training rows and the fold's rows, each in the order of the first list; their numbers go on from one file to the
        next.

    Raises:
        UserError: a file was not split, or a file that was split is missing.
    """
    parts: dict[str, list[tuple[TaskData, np.ndarray]]] = {}
    for path in paths.split(","):
        for item in read(path.strip()):
            parts.setdefault(item.task.name, []).append((item, _folds_of(item, choice)))
    for name, found in parts.items():
        _check_complete(name, [item for item, _ in found], choice, paths)
    train: list[TaskData] = []
    dev: list[TaskData] = []
    for found in parts.values():
        first, rows = found[0][0], concatenate([item.rows for item, _ in found])
        folds = np.concatenate([of_rows for _, of_rows in found])
        length = max(item.padded_length for item, _ in found)
        for side, chosen in ((train, folds != choice.fold), (dev, folds == choice.fold)):
            if not chosen.any():
                raise UserError(f"{choice.path}: fold {choice.fold} of {first.task.name} has no rows, or all of them.")
            numbers = np.flatnonzero(chosen)
            side.append(TaskData(first.file, rows.take(numbers), length, numbers))
    return train, dev


def held_out_rows(folder: RunFolder, read: Read) -> list[TaskData]:
    """Reads the rows that a run left out of training, from the files named in its train_config.json.

    Raises:
        UserError: the run left out no rows, the fold file has changed, a file is missing, or train_config.json is damaged.
    """
    before, settings = folder.written_fold(), folder.written_settings()
    if not before:
        raise UserError(
            "evaluate needs --predict_input_fp: the dev files (*.list_tfrecord, or one TFRecord file). Only a run that was "
            "trained with --fold has rows of its own to evaluate on."
        )
    folds_file, paths = (settings.get(name) for name in ("folds_file", "train_input_fp"))
    if not isinstance(folds_file, str) or not isinstance(paths, str):
        raise folder.damaged(f"folds_file is {folds_file!r}, train_input_fp {paths!r}")
    choice = FoldChoice(folds_file, read_folds(folds_file), before["fold"])
    if choice.identity != before:
        raise UserError(f"{choice.path} holds other folds than when {folder.path} was trained; bring the old file back.")
    return read_fold_data(choice, paths, read)[1]


def _folds_of(item: TaskData, choice: FoldChoice) -> np.ndarray:
    """Returns the fold of each row of a TFRecord file; the rows are in the order of the CSV file's good rows."""
    path, manifest, name = item.file.path, item.file.manifest, item.task.name
    if manifest is None:
        raise UserError(f"{path} has no manifest, so its rows cannot be found in {choice.path}. Convert the data again.")
    if name not in choice.folds.tasks:
        raise UserError(f"{choice.path} has no folds of {name}; it has {', '.join(choice.folds.tasks)}. Split them too.")
    found = choice.folds.tasks[name].of_source(manifest.source_sha256)
    if found is None:
        raise UserError(
            f"{path} was made from {manifest.source} ({manifest.source_sha256[:12]}), {choice.path} from "
            f"{_sources(choice.folds.tasks[name])}. Split and convert the same files; where a folder has no dev file, "
            "convert with --dev_share=0, so that no rows of the train file become dev rows."
        )
    source, folds = found
    if len(item.rows) != source.rows:
        raise UserError(
            f"{path} has {len(item.rows)} rows, {choice.path} has {source.rows} of {source.name}. Split and convert with "
            "the same --on_bad_row and --header."
        )
    return folds


def _check_complete(name: str, items: list[TaskData], choice: FoldChoice, paths: str) -> None:
    """Raises UserError unless every split file of a task is given once, and all are normalized alike."""
    wanted = choice.folds.tasks[name]
    there = [item.file.manifest.source_sha256 for item in items if item.file.manifest]
    if sorted(there) != sorted(source.sha256 for source in wanted.sources):
        given = ", ".join(str(item.file.path) for item in items)
        raise UserError(
            f"{choice.path} was made from {_sources(wanted)}; {paths} has {given}. Give the TFRecords of each once: "
            "--train_input_fp=train.list_tfrecord,dev.list_tfrecord if the dev files were split too."
        )
    if len({item.task.label_enumerate_values for item in items}) > 1:  # learned from different train files
        raise UserError(f"{paths}: {name} has files with different labels; convert them together.")
    kinds = sorted({item.task_input.text_normalization for item in items})
    if len(kinds) > 1:
        raise UserError(f"{paths}: {name} has files of text_normalization {' and '.join(kinds)}; convert them alike.")


def _sources(folds: TaskFolds) -> str:
    return " and ".join(f"{source.name} ({source.sha256[:12]})" for source in folds.sources)
