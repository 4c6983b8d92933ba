"""The checkpoint files in a run's folder: listing, state file, removal.

Only the file names in the state file count, never its folders: if a run's folder was copied or moved, its state file still
names the files of another run.
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
    """Returns the path prefix of a checkpoint's files."""
    return folder / f"{NAME}-{step}"


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Returns step -> prefix of a folder's complete checkpoints, in ascending order.

    These are the checkpoints listed in the state file or, if that is lost or belongs to another run, all in the folder.
    """
    found = {step: prefix_of(folder, step) for step in sorted(listed_steps(folder))}
    return {step: prefix for step, prefix in found.items() if prefix.with_name(f"{prefix.name}.index").exists()}


def has_checkpoints(folder: Path) -> bool:
    """Returns whether a folder has a checkpoint after step 0, either a regular one or one saved on a signal."""
    return any(step for path in (folder, folder / INTERRUPTED) for step in checkpoint_steps(path))


def listed_steps(folder: Path) -> list[int]:
    """Returns the steps in the state file, in the order of saving; if it is lost, all steps in the folder.

    A state file that names only missing checkpoints also counts as lost: it belongs to another run.
    """
    state = _read_state(folder)
    names = [] if state is None else [re.split(r"[/\\]", path)[-1] for path in state.all_model_checkpoint_paths]
    listed = [int(match[1]) for match in map(_PREFIX.fullmatch, names) if match]
    present = {int(match[1]) for path in folder.glob(f"{NAME}-*.index") if (match := _FILE.fullmatch(path.name))}
    return listed if present.intersection(listed) else sorted(present)


def _read_state(folder: Path) -> Any:
    try:
        return tf.train.get_checkpoint_state(str(folder))
    except (tf.errors.OpError, ValueError):
        return None


def write_state(folder: Path, steps: Iterable[int]) -> None:
    """Writes TensorFlow's state file, with the checkpoints' names only.

    Args:
        folder: the run's folder.
        steps: the checkpoints' steps, in the order of saving; at least one.
    """
    names = [prefix_of(folder, step).name for step in steps]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in names)]
    write_text(folder / STATE, "".join(f"{line}\n" for line in lines))


def repair_state(folder: Path) -> None:
    """Rewrites the state file from the existing checkpoints if it cannot be read, for instance after a power cut."""
    if (folder / STATE).exists() and _read_state(folder) is None:
        steps = list(checkpoint_steps(folder))
        if steps:
            logging.warning("%s cannot be read; taking the checkpoints that are there", folder / STATE)
            write_state(folder, steps)
        else:
            (folder / STATE).unlink()


def add_to_state(folder: Path, step: int, keep: int) -> None:
    """Adds a checkpoint that was just saved to the state file, and deletes the oldest ones, except for ``keep``.

    Deleted checkpoints leave the list only after their files are gone, so that a process killed meanwhile leaves no files
    behind.
    """
    steps = [other for other in listed_steps(folder) if other != step] + [step]
    write_state(folder, steps)
    if len(steps) > keep:
        for old in steps[:-keep]:
            _delete(folder, old)
        write_state(folder, steps[-keep:])


def _delete(folder: Path, step: int) -> None:
    """Deletes a checkpoint's files, first the index file, without which it does not count as complete."""
    found = [path for path in folder.iterdir() if (match := _FILE.fullmatch(path.name)) and int(match[1]) == step]
    for path in sorted(found, key=lambda path: path.suffix != ".index"):
        path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Removes temporary folders and files that TensorFlow had not yet renamed to a checkpoint or to the state file."""
    for path in [*folder.glob(f"{NAME}-*_temp"), *folder.glob(f"{STATE}.tmp*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def remove_failed(folder: Path, step: int) -> None:
    """Removes the files of a checkpoint that could not be written; they may be what fills the disk."""
    with contextlib.suppress(OSError):  # the error from writing matters more
        remove_unfinished(folder)
        if not prefix_of(folder, step).with_name(f"{NAME}-{step}.index").exists():
            _delete(folder, step)


def to_disk(folder: Path, step: int) -> None:
    """Flushes a checkpoint's files to disk, so that a power cut after saving cannot lose them."""
    prefix = prefix_of(folder, step)
    for path in [*folder.glob(f"{prefix.name}.*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
