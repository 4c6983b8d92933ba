"""Errors that are not bugs: mistakes that the user can correct, requested stops, and limits of the machine."""

import errno
import os
import re
import reprlib
import sys
from collections.abc import Sequence

MOST_LISTED = 20
LONGEST_SHOWN = 60
"""Most characters of a text from a file that a message quotes."""
LONGEST_CLIPPED = 120
MOST_BITS = 512


class UserError(Exception):
    """An error that the user can correct: bad input, a bad flag, a file that does not match.

    The message says what is wrong, where, what was found, what is allowed and what to do. Commands print it without a
    traceback and exit with status 2.
    """


class NonFiniteError(UserError):
    """Weights or probabilities that are NaN or infinite."""


class Stopped(Exception):
    """A signal ended the work; its results so far are kept, and the same command continues from there.

    Attributes:
        exit_code: 128 plus the signal's number, as in shells.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def shown(value: object) -> str:
    """Returns a value for a message: quoted, printable, and short however long, wide or deeply nested the value is."""
    return _SHORT.repr(value)


def clipped(text: str, length: int = LONGEST_CLIPPED) -> str:
    """Returns ``text``, or its first ``length`` characters and an ellipsis."""
    return text if len(text) <= length else f"{text[:length]}..."


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, LONGEST_SHOWN, LONGEST_SHOWN
        self.maxlist = self.maxtuple = self.maxdict = 10

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to convert more than 4,300 digits to text.
        return repr(x) if x.bit_length() < MOST_BITS else f"<whole number of {x.bit_length()} bits>"


_SHORT = _ShortRepr()


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Returns names for a message: the first ``MOST_LISTED`` of them in full and the number of the others."""
    text = separator.join(names[:MOST_LISTED])
    return text if len(names) <= MOST_LISTED else f"{text} and {len(names) - MOST_LISTED:,} more"


HINTS = {
    errno.ENOSPC: "Free some space and start the same command again.",
    errno.EDQUOT: "Your quota is used up; free some space and start the same command again.",
    errno.EFBIG: "No larger file is allowed here (ulimit -f).",
    errno.EROFS: "Give another folder to write to.",
    errno.EACCES: "You lack the permission.",
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.ELOOP: "The symbolic link leads back to itself.",
    errno.EMFILE: "Allow more open files (ulimit -n).",
}
OUT_OF_MEMORY = "Take fewer rows a batch, shorter rows or a smaller encoder, or free some memory."
_UNFINISHED = re.compile(r"(?<![^/])\.+(?=[^/]+\.\d+\.tmp$)|(\.\d+\.tmp)+$|_temp(/part-.*)?$")
"""The parts of an unfinished file's name that its final name lacks."""
_OF_FILES = ("PermissionDeniedError", "DataLossError", "UnavailableError")
_ABOUT_FOLDERS = re.compile(r"is (not )?a directory$|^Failed to find any matching files|^Unsuccessful TensorSliceReader")
"""TensorFlow's own messages about files."""
_REASONS = {os.strerror(code): code for code in errno.errorcode}


def problem_of(error: BaseException) -> str | None:
    """Returns the message for an error that the machine caused; None for a bug.

    The machine causes errors of files and streams (full disk, no permission, a missing file) and lack of memory, whether
    Python, TensorFlow or safetensors raised them.
    """
    if isinstance(error, OSError):
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
        return _sentence(" -> ".join(files), error.strerror or str(error), error.errno)
    if isinstance(error, MemoryError):
        return f"Out of memory{f': {error}' if str(error) else ''}. {OUT_OF_MEMORY}"
    if type(error).__name__ == "SafetensorError":
        found = re.search(r"\(os error (\d+)\)", str(error))
        return _sentence("", os.strerror(int(found[1])), int(found[1])) if found else None
    tensorflow = sys.modules.get("tensorflow")
    return _problem_of_tensorflow(error) if tensorflow and isinstance(error, tensorflow.errors.OpError) else None


def _problem_of_tensorflow(error: BaseException) -> str | None:
    lines = str(getattr(error, "message", error)).splitlines()
    # TensorFlow reports a file's error as "path; reason".
    for line in lines:
        path, _, reason = re.sub(r"^\{\{.*?\}\}\s*|\s*\[Op:\w+\].*", "", line).rpartition("; ")
        if reason in _REASONS:
            return _sentence(_UNFINISHED.sub("", path), reason, _REASONS[reason])
    first = lines[0] if lines else "TensorFlow gives no details"
    if type(error).__name__ in _OF_FILES or _ABOUT_FOLDERS.search(first):
        return _sentence("", first.rstrip("."), None)
    if type(error).__name__ == "ResourceExhaustedError":
        return f"Out of memory: {first}. {OUT_OF_MEMORY}"
    return None


def _sentence(where: str, reason: str, code: int | None) -> str:
    hint = HINTS.get(code or 0)
    return f"{where}{': ' if where else ''}{reason}.{f' {hint}' if hint else ''}"
