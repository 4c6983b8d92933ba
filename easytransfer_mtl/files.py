"""Files that appear under their final name only when they are complete."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from easytransfer_mtl.errors import UserError, listed, shown

LARGEST_JSON = 1 << 28
"""Bytes of the largest JSON file that is read."""

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

PATTERN_SIGNS = "[\\" if os.sep == "/" else "["
"""What TensorFlow takes for a pattern in the path of a checkpoint, and then does not find the file of that name."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` to write to; renames it to ``path`` when the block ends well.

    If the block raises, the temporary file is removed and a file already at ``path`` is left as it was. What processes
    that were killed have left of the same file is removed too. The block must write into the temporary file and put no
    other in its place: that it is in use is told by a lock on it.

    Raises:
        UserError: there can be no file at ``path``, known before the block is entered.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    opened = _opened_for_writing(path, temporary)
    try:
        with opened as stream:
            _remove_left(path, "tmp")
            yield temporary
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _opened_for_writing(path: Path, temporary: Path) -> BinaryIO:
    """Opens a temporary file, empty and locked."""
    if path.is_dir():
        raise UserError(f"{path} cannot be written: it is a folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(temporary, "ab")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror} ({error.filename}).") from None
    if try_lock(stream.fileno()) is False:
        stream.close()
        raise UserError(f"{path} is being written by another process ({temporary}). Wait for its end, or end it.")
    stream.truncate(0)
    return stream


def try_lock(descriptor: int) -> bool | None:
    """Locks an open file for this process, until it is closed or the process ends, however it ends.

    Returns:
        Whether that succeeded; False if another has locked it, None if files cannot be locked here.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_left(path: Path, ending: str) -> None:
    """Removes the temporary files or folders of ``path`` whose processes have ended."""
    own = re.compile(rf"{re.escape(f'.{path.name}.')}(\d+)\.{ending}")
    for other in path.parent.iterdir():
        match = own.fullmatch(other.name)
        if match is None or _is_running(int(match[1])):
            continue
        if other.is_dir() and not other.is_symlink():
            shutil.rmtree(other, ignore_errors=True)
        elif _is_unlocked(other):
            with contextlib.suppress(OSError):  # another process has just removed it
                other.unlink()


def _is_running(process: int) -> bool:
    """Tells whether there is a process of this number; where that cannot be asked, there is."""
    if os.name != "posix":
        return True  # os.kill would end it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_unlocked(path: Path) -> bool:
    """Tells whether nobody writes to a file: a process in another container or on another machine is not seen."""
    try:
        with open(path, "r+b") as stream:
            return try_lock(stream.fileno()) is True
    except OSError:
        return False


@contextlib.contextmanager
def readable_by_tensorflow(path: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a path of the same file, or prefix of files, that TensorFlow does not take for a pattern.

    It is ``path`` itself where nothing in it looks like one, else a link in a temporary folder, for as long as the block
    lasts.
    """
    path = Path(path)
    if not any(sign in str(path) for sign in PATTERN_SIGNS):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="easytransfer_mtl_") as folder:
        link = Path(folder) / "folder"
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        yield str(link / path.name)


def check_output_folder(folder: Path) -> None:
    """Raises UserError, before work whose results are to go there is done, if no files can be written to a folder."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not os.path.isdir(nearest):
        raise UserError(f"{folder} cannot be a folder: {nearest} is a file. Give another.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{folder} cannot be written to: {nearest} does not permit it. Give another, or mend that.")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` as UTF-8 with LF line ends, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON (UTF-8, non-ASCII characters as they are), whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: str | os.PathLike[str], what: str = "JSON file") -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        what: what the file is to the user, named in the error.

    Raises:
        UserError: the file cannot be read, is too large, is not UTF-8, is not JSON (names line and column), or has a key
            twice or a number that is too long.
    """
    try:
        if Path(path).stat().st_size > LARGEST_JSON:
            raise UserError(f"{what} {path} has {Path(path).stat().st_size:,} bytes; at most {LARGEST_JSON:,} are read.")
        return json.loads(
            Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=lambda pairs: _object(pairs, what, path)
        )
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist.") from None
    except IsADirectoryError:
        raise UserError(f"{what} {path} is a folder, not a file.") from None
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except RecursionError:
        raise UserError(f"{what} {path} is nested too deeply.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{what} {path} is not valid JSON: {place}: {error.msg}.") from None
    except ValueError as error:
        raise UserError(f"{what} {path} cannot be read: {error}.") from None


def _object(pairs: list[tuple[str, Any]], what: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Refuses a key that stands twice in one object, of which JSON readers silently keep the last."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = sorted(shown(key)[1:-1] for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise UserError(f"{what} {path}: {listed(twice)} stands twice in one object; keep one.")
    return value


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives the path of a folder to make beside ``path``; it takes the place of ``path`` when the block ends well.

    If the block raises, what it made is removed and a folder already at ``path`` is left as it was. What processes that
    were killed have left of the same folder is removed too.

    Raises:
        UserError: ``path`` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} cannot be written: it is a file, and a folder belongs there. Move it away.")
    fresh, old = path.with_name(f".{path.name}.{os.getpid()}.new"), path.with_name(f".{path.name}.old")
    if old.is_dir() and not path.exists():
        os.replace(old, path)  # of a process that was killed between the two
    if path.parent.is_dir():
        _remove_left(path, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        yield fresh
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            os.replace(path, old)
        os.replace(fresh, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
