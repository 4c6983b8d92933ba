"""Reads EasyTransfer's ``*.list_tfrecord`` files and finds the task of each TFRecord file."""

import contextlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from easytransfer_mtl.data.manifest import Manifest, read_manifest
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tokenization import PUBLISHED, RULE_NAMES
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import plain_path, why_no_file
from easytransfer_mtl.tasks import Task, require_labels, task_named

LIST_MARK = ".list_tfrecord"
LARGEST_LIST, LONGEST_PATH = 1 << 20, 4096
"""Limits: bytes of a list file, characters of one of its lines."""


@dataclass(frozen=True)
class TaskFile:
    """A TFRecord file, its task, and its manifest if it has one."""

    task: Task
    path: Path
    manifest: Manifest | None


def read_list(path: str | os.PathLike[str]) -> list[Path]:
    """Returns the files that ``path`` stands for: the file itself, or the lines of a ``*.list_tfrecord`` file.

    Blank lines and a count line are skipped. A relative path is looked for in the current folder, then in the list file's
    folder.

    Raises:
        UserError: the list or a file in it does not exist; the list is empty, too large or not UTF-8; or a line cannot be a
            path.
    """
    path = Path(path)
    if LIST_MARK not in path.name:
        return [_existing(path, Path(), "TFRecord file")]
    if not path.is_file():
        raise UserError(f"list file {path} {why_no_file(path)}.")
    size = path.stat().st_size
    if size > LARGEST_LIST:
        raise UserError(f"list file {path} has {size:,} bytes, at most {LARGEST_LIST:,} are read; is it a TFRecord file?")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"list file {path} is not UTF-8 (byte {error.start}); is it a TFRecord file?") from None
    entries = [line for line in lines if line and not line.isdigit()]
    if len(entries) < len(lines):
        logging.warning("%s: %d blank or count lines passed over", path, len(lines) - len(entries))
    if not entries:
        raise UserError(f"list file {path} is empty; it needs one TFRecord path per line.")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_PATH or not line.isprintable():
            raise UserError(f"list file {path}: line {number} can be no path ({shown(line)}); is it a TFRecord file?")
    return [_existing(Path(entry), path.parent, f"list file {path}: TFRecord file") for entry in entries]


def _existing(path: Path, base: Path, what: str) -> Path:
    with contextlib.suppress(OSError):  # for instance a name too long for the file system
        for candidate in (path, base / path):
            if candidate.is_file():
                return plain_path(candidate)
    found = path if os.path.lexists(path) else base / path
    raise UserError(f"{what} {path} {why_no_file(found)}. Run convert first, or correct the path.")


def task_files(path: str | os.PathLike[str], tasks: tuple[Task, ...]) -> list[TaskFile]:
    """Finds the task of each file of a list.

    The manifest beside a file names the task. Without a manifest it is the task named in the file's name, or else in the
    nearest folder that names one; without that, the position in the list decides (EasyTransfer's rule).

    Args:
        path: a list file or one TFRecord file.
        tasks: the possible tasks.

    Raises:
        UserError: a file matches no task, matches a task by name but not by labels or text columns, or two files have one
            task.
    """
    files = read_list(path)
    result = [_task_file(file, index, tasks) for index, file in enumerate(files)]
    names = [item.task.name for item in result]
    if len(set(names)) != len(names):
        found = listed([f"{item.path} is {item.task.name}" for item in result])
        raise UserError(f"{path}: two files have the same task: {found}.")
    return result


def _task_file(path: Path, index: int, tasks: tuple[Task, ...]) -> TaskFile:
    manifest = read_manifest(path)
    if manifest is None:
        require_labels(tasks)
        named = _named_tasks(path, tasks)
        if len(named) != 1 and index >= len(tasks):
            place = f"place {index + 1} of the list"
            raise UserError(f"{path}: no manifest, no task's name in its path, and no task for {place}.")
        task = named[0] if len(named) == 1 else tasks[index]
        logging.warning("%s has no manifest: taken as %s; its vocabulary and labels cannot be checked", path, task.name)
        return TaskFile(task, path, None)
    task = task_named(manifest.task.name, tasks)
    if task.learns_labels:
        task = replace(task, label_enumerate_values=manifest.task.label_enumerate_values)
    if manifest.task.label_enumerate_values != task.label_enumerate_values:
        raise UserError(
            f"{path} was made with the labels {listed(manifest.task.label_enumerate_values, ',')} of {task.name}, "
            f"the model has {listed(task.label_enumerate_values, ',')}. Convert the data with the model's label order."
        )
    if manifest.task.type != task.type:
        raise UserError(
            f"{path} was made for the type {manifest.task.type} of {task.name}, the model has {task.type}. Convert the data "
            "with the model's tasks."
        )
    if manifest.task.unit != task.unit:
        raise UserError(
            f"{path} was made with a tag a {manifest.task.unit} of {task.name}, the model has one a {task.unit}. Convert "
            "the data with the model's tasks."
        )
    if _text_places(manifest.task) != _text_places(task):
        made, wanted = (f"{_texts(item)} of {listed(item.columns, ',') or 'any'}" for item in (manifest.task, task))
        raise UserError(
            f"{path} was made from the texts {made}, the task {task.name} has {wanted}: prediction would read other texts "
            "than training. Convert with the task's columns, or describe the task in a --tasks_file."
        )
    return TaskFile(task, path, manifest)


def _texts(task: Task) -> list[str]:
    return [column for column in (task.first_sequence, task.second_sequence) if column]


def _text_places(task: Task) -> list[int] | list[str]:
    """Returns the positions of a task's texts among the columns of an unlabelled row; column names do not matter then. Where
    files name their columns, returns the names."""
    return [task.unlabelled_columns.index(column) for column in _texts(task)] if task.columns else _texts(task)


def _named_tasks(path: Path, tasks: tuple[Task, ...]) -> list[Task]:
    """Returns the tasks named in the last part of the path that names any."""
    for part in reversed(path.parts):
        named = [task for task in tasks if task.name.lower() in part.lower() or task.scope in part.lower()]
        if named:
            return named
    return []


def check_vocabulary(file: TaskFile, vocabulary: AnyVocabulary, where: str) -> None:
    """Raises UserError if the file was made with another vocabulary than the model's, which comes from ``where``.

    Without a manifest a file is taken as EasyTransfer's; a model with a published tokenizer cannot read it.
    """
    manifest = file.manifest
    if manifest is None and vocabulary.tokenizer == PUBLISHED:
        raise UserError(
            f"{file.path} has no manifest, so its ids are taken as those of EasyTransfer's WordPiece; the model's "
            f"tokenizer is {where}. Convert the data with --tokenizer_name_or_path set to the encoder you train."
        )
    if manifest and manifest.tokenizer != vocabulary.tokenizer:
        raise UserError(
            f"{file.path} was made with the tokenizer {manifest.tokenizer}, the model's is {vocabulary.tokenizer} "
            f"({where}). Convert the data with --tokenizer_name_or_path set to the encoder you train and "
            f"--tokenizer={vocabulary.tokenizer}."
        )
    if manifest is None and not vocabulary.is_read_alike:
        logging.warning(
            "%s has no manifest: if EasyTransfer wrote it, its ids are not the model's, which are line numbers (%s)",
            file.path,
            where,
        )
    if manifest and manifest.vocabulary_sha256 != vocabulary.sha256:
        made, wanted = RULE_NAMES[manifest.vocabulary_rule], RULE_NAMES[vocabulary.rule]
        rules = f"; ids were by {made}, the model's are by {wanted}" if made != wanted else ""
        again = f" and --vocabulary_rule={vocabulary.rule}" if rules else ""
        raise UserError(
            f"{file.path} was made with another vocabulary ({manifest.vocabulary_size} tokens, sha256 "
            f"{manifest.vocabulary_sha256[:12]}) than the model's ({len(vocabulary)} tokens, {vocabulary.sha256[:12]}, "
            f"{where}){rules}. Convert the data with --tokenizer_name_or_path set to the encoder you train{again}."
        )
