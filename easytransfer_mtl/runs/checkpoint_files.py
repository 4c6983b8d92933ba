"""The files of a run's checkpoints in its folder: which there are, their list, and their removal.

Only names count, never the folders that a list gives: a folder may have been copied or moved, and its list then names the
files of another run.
"""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from easytransfer_mtl.files import write_text

NAME = "model.ckpt"
INTERRUPTED = "interrupted"
STATE = "checkpoint"
_PREFIX = re.compile(rf"{re.escape(NAME)}-(\d+)")
_FILE = re.compile(rf"{_PREFIX.pattern}\.(index|data-\d+-of-\d+)")


def prefix_of(folder: Path, step: int) -> Path:
    """Returns the path that a checkpoint's files have in common."""
    return folder / f"{NAME}-{step}"


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Returns step -> prefix of a folder's complete checkpoints, in ascending order.

    They are those that the state file lists, or, if that is lost or another run's, all that are there.
    """
    found = {step: prefix_of(folder, step) for step in sorted(listed_steps(folder))}
    return {step: prefix for step, prefix in found.items() if prefix.with_name(f"{prefix.name}.index").exists()}


def has_checkpoints(folder: Path) -> bool:
    """Tells whether a folder has a run's checkpoints, regular ones or that of a stop, of more than its start."""
    return any(step for path in (folder, folder / INTERRUPTED) for step in checkpoint_steps(path))


def listed_steps(folder: Path) -> list[int]:
    """Returns the steps that the state file lists, in the order in which they were saved; if it is lost, all there are.

    A list is lost too that names nothing but checkpoints which are not there: it is another run's.
    """
    state = _read_state(folder)
    names = [] if state is None else [re.split(r"[/\\]", path)[-1] for path in state.all_model_checkpoint_paths]
    listed = [int(match[1]) for match in map(_PREFIX.fullmatch, names) if match]
    present = {int(match[1]) for path in folder.glob(f"{NAME}-*.index") if (match := _FILE.fullmatch(path.name))}
    return listed if present.intersection(listed) else sorted(present)


def _read_state(folder: Path) -> Any:
    """Returns TensorFlow's state file of a folder's checkpoints, or None if there is none that can be read."""
    try:
        return tf.train.get_checkpoint_state(str(folder))
    except (tf.errors.OpError, ValueError):
        return None


def write_state(folder: Path, steps: Iterable[int]) -> None:
    """Writes TensorFlow's state file, which lists checkpoints by their names alone.

    Args:
        folder: the run's.
        steps: of the checkpoints, in the order in which they were saved; at least one.
    """
    names = [prefix_of(folder, step).name for step in steps]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in names)]
    write_text(folder / STATE, "".join(f"{line}\n" for line in lines))


def repair_state(folder: Path) -> None:
    """Writes the state file anew from the checkpoints that are there, if a power cut has spoiled it."""
    if (folder / STATE).exists() and _read_state(folder) is None:
        steps = list(checkpoint_steps(folder))
        if steps:
            logging.warning("%s cannot be read; taking the checkpoints that are there", folder / STATE)
            write_state(folder, steps)
        else:
            (folder / STATE).unlink()


def add_to_state(folder: Path, step: int, keep: int) -> None:
    """Lists a checkpoint that was saved just now, and deletes those that were saved first, but for ``keep``.

    They leave the list after their files are gone, so that a process that is killed meanwhile leaves none behind.
    """
    steps = [other for other in listed_steps(folder) if other != step] + [step]
    write_state(folder, steps)
    if len(steps) > keep:
        for old in steps[:-keep]:
            _delete(folder, old)
        write_state(folder, steps[-keep:])


def _delete(folder: Path, step: int) -> None:
    """Deletes a checkpoint's files, that which makes it count as complete first."""
    found = [path for path in folder.iterdir() if (match := _FILE.fullmatch(path.name)) and int(match[1]) == step]
    for path in sorted(found, key=lambda path: path.suffix != ".index"):
        path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Removes what TensorFlow writes beside a checkpoint, a folder, and beside the state file before it renames them."""
    for path in [*folder.glob(f"{NAME}-*_temp"), *folder.glob(f"{STATE}.tmp*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def remove_failed(folder: Path, step: int) -> None:
    """Removes what is there of a checkpoint that could not be written, which may be what fills the disk."""
    with contextlib.suppress(OSError):  # the error of writing is what matters
        remove_unfinished(folder)
        if not prefix_of(folder, step).with_name(f"{NAME}-{step}.index").exists():
            _delete(folder, step)


def to_disk(folder: Path, step: int) -> None:
    """Has the operating system write a checkpoint's files, so that a power cut after the save cannot take them."""
    prefix = prefix_of(folder, step)
    for path in [*folder.glob(f"{prefix.name}.*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
