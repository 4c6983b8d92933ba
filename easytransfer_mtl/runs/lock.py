"""Locks a run's folder: two processes in one folder would delete and mix up each other's checkpoints."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import naming, try_lock

LOCK = ".lock"
PARTS = ("best", "evaluation", "final", "interrupted", "tensorboard")
"""Subfolders that a run creates."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Creates a run's folder and locks it against other processes that use this lock, for the duration of the block.

    It is a file lock of the operating system, so it ends with its process, however that ends. Where files cannot be locked,
    as on some network file systems, there is no lock, and a warning is logged. A folder that was created for the lock and
    stayed empty is removed again.

    Args:
        folder: ``model_dir``.

    Raises:
        UserError: the folder cannot be created or written to, or another process holds the lock.
    """
    made = _make(folder)
    try:
        descriptor = _locked(folder / LOCK)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink()  # still locked, so this removes only our own file
            os.close(descriptor)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def is_locked(folder: Path) -> bool:
    """Returns whether another process holds the lock of a run's folder; False where files cannot be locked."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return try_lock(descriptor) is False
    finally:
        os.close(descriptor)


def _make(folder: Path) -> list[Path]:
    """Creates a folder; returns the newly created folders, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next((path for path in (folder, *folder.parents) if os.path.isfile(path)), folder)
        raise UserError(f"model_dir {folder} cannot be made: {file} is a file. Give another --model_dir.") from None
    except OSError as error:
        raise UserError(f"model_dir {folder} cannot be made: {error.strerror}. Give another --model_dir.") from None
    wrong = [path for path in (folder / name for name in PARTS) if os.path.lexists(path) and not path.is_dir()]
    if wrong:
        raise UserError(f"{wrong[0]} is no folder, and a run has one there. Move it away, or give another --model_dir.")
    return missing


def _locked(path: Path) -> int:
    """Opens and locks a file; returns its descriptor."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise UserError(
                f"model_dir {path.parent} cannot be written to ({path.name}: {error.strerror}). Give another --model_dir, "
                "or mend its permissions."
            ) from None
        locked = try_lock(descriptor)
        if locked is False:
            holder = os.read(descriptor, 1000).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{path.parent} is in use by {holder or 'another process'}: a training, pre-training, comparison or "
                "evaluation. Wait for its end, or end it, or give another --model_dir. One checkpoint of a training that "
                "goes on can be scored with evaluate --eval_checkpoint_path."
            )
        if locked is None:
            logging.warning("%s: files cannot be locked here; see to it that no other process uses the folder", path.parent)
        if locked and _is_the_same(descriptor, path) and os.fstat(descriptor).st_nlink > 1:
            path.unlink()  # shared with another folder, of which this one is a hard-linked copy
        elif locked is None or _is_the_same(descriptor, path):
            with naming(path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # the path leads to another file by now, or to none


def _is_the_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
