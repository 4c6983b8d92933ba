"""Limits the memory that a weight file may take."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.errors import UserError

# float16 doubles when read, and a tied weight may be stored once and listed twice. Trained weights hardly shrink when
# compressed, but a few megabytes of zeros do.
LARGEST_RATIO, LARGEST_SURPLUS = 4, 64 << 20
_STATUS = Path("/proc/self/statm")


class Room:
    """Counts the bytes read from a file: at most ``LARGEST_RATIO`` times its size plus ``LARGEST_SURPLUS``."""

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self._what, self._left = f"{kind} file {path}", os.path.getsize(path) * LARGEST_RATIO + LARGEST_SURPLUS

    def take(self, size: int) -> None:
        """Counts ``size`` more bytes, before they are allocated.

        Raises:
            UserError: that is more than the limit allows.
        """
        self._left -= size
        if self._left < 0:
            raise UserError(
                f"{self._what} unpacks to too many times its size: at most {LARGEST_RATIO} times and "
                f"{LARGEST_SURPLUS >> 20} MB are read. Save the model uncompressed, each weight once."
            )


@contextlib.contextmanager
def little_memory(spare: int) -> Iterator[None]:
    """Limits the process to ``spare`` more bytes inside the block, for libraries that trust a length in a file.

    This works on Linux only; elsewhere the block runs without a limit. Keep the block short: the limit applies to all
    threads of the process.
    """
    if not _STATUS.exists():
        yield
        return
    import resource  # not available on Windows

    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(_STATUS.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + spare
    allowed = [limit, *(value for value in before if value != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(allowed), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
