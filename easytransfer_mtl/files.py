"""Files that appear under their final name only when they are complete."""

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

from easytransfer_mtl.config.json_values import DEEPEST_JSON, TOO_LARGE, problem_in
from easytransfer_mtl.errors import UserError, listed, shown

LARGEST_JSON = 16 << 20
"""Bytes of the largest JSON file that is read, unless told otherwise."""

_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|body|\?xml|error)", re.IGNORECASE)
_POINTER = b"version https://git-lfs.github.com/spec/"

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
        with contextlib.suppress(OSError):  # what ended the block is what matters
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str], temporary: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Gives the name of ``path`` to an error of writing that names no file, or the ``temporary`` one in its place."""
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


def check_outputs(
    files: Iterable[str | os.PathLike[str]],
    inputs: Iterable[str | os.PathLike[str]],
    folders: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Checks, before the first expensive step, that a command can write what it will, and over nothing that it reads.

    Args:
        files: what it will write.
        inputs: files that it reads, whether they are there or not; they are known by what they are, under whatever name.
        folders: folders that it will replace, with all that is in them.

    Raises:
        UserError: something cannot be written, or would be written over.
    """
    read = [Path(path) for path in inputs]
    by_identity = {os.path.realpath(path): path for path in read}
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
    """Returns the files of a folder, without those of folders in it; none if there is no such folder."""
    folder = Path(folder)
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` as UTF-8 with LF line ends, whole or not at all; what UTF-8 lacks is written as its code."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON (UTF-8, non-ASCII characters as they are), whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: str | os.PathLike[str], what: str = "JSON file", largest: int = LARGEST_JSON) -> Any:
    """Reads a JSON file, which a stranger may have written.

    Args:
        path: the file.
        what: what the file is to the user, named in the error.
        largest: bytes that it may have; its objects take up to 25 times as many in memory.

    Returns:
        The value; its numbers are finite and below 10^300, its texts can be written as UTF-8.

    Raises:
        UserError: the file cannot be read, is too large, is not UTF-8, is not JSON (names line and column), has a key twice,
            or holds what is said above that it does not.
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
    except ValueError:  # from Python 3.11 on, of a whole number with more than 4,300 digits
        raise UserError(f"{what} {path}: {TOO_LARGE}.") from None
    if problem := problem_in(value):
        raise UserError(f"{what} {path}: {problem}.")
    return value


def placeholder(head: bytes) -> tuple[str, str] | None:
    """Returns what a download left in a file's place, known by its first bytes, and what to do; None for anything else."""
    if head.startswith(_POINTER):
        return "a git-lfs pointer", "run git lfs pull, or download the file itself"
    if _PAGE.match(head):
        return "a web page or XML (an error page?)", "download the file itself"
    return None


def _object(pairs: list[tuple[str, Any]], what: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Refuses a key that stands twice in one object, of which JSON readers silently keep the last."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = sorted(shown(key)[1:-1] for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise UserError(f"{what} {path}: {listed(twice)} stands twice in one object; keep one.")
    return value


def why_no_file(path: str | os.PathLike[str]) -> str:
    """Returns what to tell of a path at which there is no regular file: the end of a sentence that begins with the path."""
    try:
        status = os.stat(path)
    except OSError:
        return "does not exist"
    return "is a folder, not a file" if stat.S_ISDIR(status.st_mode) else "is no regular file"


def real_path(path: str | os.PathLike[str]) -> Path:
    """Returns a path without links and ``..``, whether there is such a file or not; a link to itself stays as it is."""
    return Path(os.path.realpath(path))


def plain_path(path: str | os.PathLike[str]) -> Path:
    """Returns a path without ``folder/..`` where that names the same file, which it does not behind a linked folder."""
    plain = Path(os.path.normpath(path))
    return plain if real_path(plain) == real_path(path) else Path(path)


def home_expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path with ``~`` replaced by the user's folder, where the user has one."""
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
    """Gives the path of a folder to make beside ``path``; it takes the place of ``path`` when the block ends well.

    If the block raises, what it made is removed and a folder already at ``path`` is left as it was. What processes that
    were killed have left of the same folder is removed too. A link at ``path`` gives way, and what it leads to stays.

    Raises:
        UserError: ``path`` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} cannot be written: it is a file, and a folder belongs there. Move it away.")
    fresh, old = path.with_name(f".{path.name}.{os.getpid()}.new"), path.with_name(f".{path.name}.old")
    if old.is_dir() and not os.path.lexists(path):
        os.replace(old, path)  # of a process that was killed between the two
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
    """Removes a folder with all that is in it, or a link, as far as that is possible."""
    if path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
