"""Writes files that appear under their final name only when complete; checks paths; reads JSON."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.values import DEEPEST_JSON, TOO_LARGE, problem_in

LARGEST_JSON = 16 << 20
"""Largest JSON file that is read by default, in bytes."""

_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|body|\?xml|error)", re.IGNORECASE)
_POINTER = b"version https://git-lfs.github.com/spec/"

try:
    import fcntl
except ImportError:  # not available on Windows
    fcntl = None  # type: ignore[assignment]

PATTERN_SIGNS = "[\\" if os.sep == "/" else "["
"""Characters in a checkpoint path that TensorFlow takes for a pattern, and therefore does not find the file of that name."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` to write to; renames it to ``path`` when the block ends without an error.

    If the block raises, the temporary file is removed and an existing file at ``path`` stays unchanged. Temporary files of
    the same path that killed processes left behind are removed too. The block must write into the temporary file and not
    replace it by another file: a lock on it shows that it is in use.

    Raises:
        UserError: there can be no file at ``path``; raised before the block is entered.
        OSError: the file cannot be written to its end; names ``path``.
    """
    path = Path(path)
    temporary = _beside(path)
    opened = _opened_for_writing(path, temporary)
    try:
        with naming(path, temporary), opened as stream:
            _remove_left(path, "tmp")
            yield temporary
            os.fsync(stream.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # the error that ended the block matters more
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str], temporary: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Adds the name ``path`` to an OSError that names no file, or puts it in place of ``temporary``."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


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
    """Locks an open file for this process, until the file is closed or the process ends in any way.

    Returns:
        True if the file was locked, False if another process has locked it, None if files cannot be locked here.
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
    """Returns whether a process with this id exists; True if that cannot be found out."""
    if os.name != "posix":
        return True  # os.kill would end the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_unlocked(path: Path) -> bool:
    """Returns whether no process writes to a file, including processes in other containers or on other machines."""
    try:
        with open(path, "r+b") as stream:
            return try_lock(stream.fileno()) is True
    except OSError:
        return False


@contextlib.contextmanager
def readable_by_tensorflow(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a path to the same file, or prefix of files, that TensorFlow does not take for a pattern.

    This is ``path`` itself if nothing in it looks like a pattern, else a link in a temporary folder, which exists as long as
    the block runs.
    """
    path = Path(path)
    if not any(sign in str(path) for sign in PATTERN_SIGNS):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="easytransfer_mtl_") as folder:
        link = Path(folder) / "folder"
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        yield str(link / path.name)


def check_outputs(
    files: Iterable[str | os.PathLike[str]],
    inputs: Iterable[str | os.PathLike[str]],
    folders: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Checks, before the first expensive step, that a command can write its outputs and overwrites none of its inputs.

    Args:
        files: files that it will write.
        inputs: files that it reads, whether they exist or not; they are recognized under any name.
        folders: folders that it will replace, with everything in them.

    Raises:
        UserError: an output cannot be written, or would overwrite an input.
    """
    read = [Path(path) for path in inputs]
    by_identity: dict[object, Path] = {os.path.realpath(path): path for path in read}
    by_identity |= {_identity(path): path for path in read if path.exists()}
    for path in map(Path, files):
        _check_place(path, "file")
        same = by_identity.get(_identity(path) if path.exists() else os.path.realpath(path))
        if same is not None:
            raise UserError(f"{path} would be written over {same}, which is read. Give another place for the output.")
    for folder in map(Path, folders):
        _check_place(folder, "folder")
        inside = [path for path in read if path.exists() and folder.exists() and _is_inside(path, folder)]
        if inside:
            raise UserError(
                f"{folder} would be replaced, and with it {inside[0]}, which is read. Give another place for the output, or "
                "copy the input first."
            )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_inside(path: Path, folder: Path) -> bool:
    return any(parent.samefile(folder) for parent in real_path(path).parents)


def _check_place(path: Path, kind: str) -> None:
    """Raises UserError if there can be no file, or folder, at a path."""
    try:
        os.lstat(_beside(path))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    is_fit = path.is_file() if kind == "file" else path.is_dir()
    if path.exists() and not is_fit:
        raise UserError(f"{path} cannot be written: it is {'a folder' if path.is_dir() else f'no {kind}'}.")
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise UserError(f"{path} cannot be written: {above} is no folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{path} cannot be written: {above} is read-only, or you lack the permission.")


def files_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the files of a folder, without those in its subfolders; empty if the folder does not exist."""
    folder = Path(folder)
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` as UTF-8 with LF line ends, whole or not at all; characters that UTF-8 cannot encode are escaped."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON (UTF-8, non-ASCII characters unescaped), whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: str | os.PathLike[str], what: str = "JSON file", largest: int = LARGEST_JSON) -> Any:
    """Reads an untrusted JSON file.

    Args:
        path: the file.
        what: what the file is to the user, named in the error.
        largest: maximum size in bytes; the objects take up to 25 times as much memory.

    Returns:
        The value; its numbers are finite and below 10^300, its texts can be written as UTF-8.

    Raises:
        UserError: the file cannot be read, is too large, is not UTF-8, is not JSON (names line and column), is nested too
            deeply, has a key twice in an object, or holds other numbers or texts than may be returned.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(largest + 1)
        if len(data) > largest:
            raise UserError(f"{what} {path} is too large: at most {largest:,} bytes are read.")
        if found := placeholder(data):
            raise UserError(f"{what} {path} is {found[0]}, not JSON; {found[1]}.")
        if not data.strip():
            raise UserError(f"{what} {path} is empty.")
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _object(pairs, what, path))
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist.") from None
    except IsADirectoryError:
        raise UserError(f"{what} {path} is a folder, not a file.") from None
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except RecursionError:
        raise UserError(f"{what} {path} is nested too deeply: at most {DEEPEST_JSON} levels are read.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{what} {path} is not valid JSON: {place}: {error.msg}.") from None
    except ValueError:  # from Python 3.11 on, for an integer with more than 4,300 digits
        raise UserError(f"{what} {path}: {TOO_LARGE}.") from None
    if problem := problem_in(value):
        raise UserError(f"{what} {path}: {problem}.")
    return value


def placeholder(head: bytes) -> tuple[str, str] | None:
    """Returns what a download left in a file's place, judged by the first bytes, and what to do; None for anything else."""
    if head.startswith(_POINTER):
        return "a git-lfs pointer", "run git lfs pull, or download the file itself"
    if _PAGE.match(head):
        return "a web page or XML (an error page?)", "download the file itself"
    return None


def _object(pairs: list[tuple[str, Any]], what: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Raises UserError if a key stands twice in an object; JSON readers silently keep the last value."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = sorted(shown(key)[1:-1] for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise UserError(f"{what} {path}: {listed(twice)} stands twice in one object; keep one.")
    return value


def why_no_file(path: str | os.PathLike[str]) -> str:
    """Returns why there is no regular file at a path, as the end of a sentence that begins with the path."""
    try:
        status = os.stat(path)
    except OSError:
        return "does not exist"
    return "is a folder, not a file" if stat.S_ISDIR(status.st_mode) else "is no regular file"


def real_path(path: str | os.PathLike[str]) -> Path:
    """Returns a path without links and ``..``, whether the file exists or not; a link to itself stays as it is."""
    return Path(os.path.realpath(path))


def plain_path(path: str | os.PathLike[str]) -> Path:
    """Returns a path without ``folder/..`` if it still names the same file, which it does not if ``folder`` is a link."""
    plain = Path(os.path.normpath(path))
    return plain if real_path(plain) == real_path(path) else Path(path)


def home_expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path with ``~`` replaced by the user's home folder, if the user has one."""
    return Path(os.path.expanduser(path))


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields the path of a folder to create beside ``path``; it replaces ``path`` when the block ends without an error.

    If the block raises, the new folder is removed and an existing folder at ``path`` stays unchanged. Folders for the same
    path that killed processes left behind are removed too. A link at ``path`` is replaced, and its target stays.

    Raises:
        UserError: ``path`` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} cannot be written: it is a file, and a folder belongs there. Move it away.")
    fresh, old = path.with_name(f".{path.name}.{os.getpid()}.new"), path.with_name(f".{path.name}.old")
    if old.is_dir() and not os.path.lexists(path):
        os.replace(old, path)  # a process was killed between the two renames below
    if path.parent.is_dir():
        _remove_left(path, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        yield fresh
        _remove(old)
        if os.path.lexists(path):
            os.replace(path, old)
        os.replace(fresh, path)
        _remove(old)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove(path: Path) -> None:
    """Removes a folder with its content, or a link, as far as possible."""
    if path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
