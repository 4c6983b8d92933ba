"""How much a weight file may take up in memory."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.errors import UserError

# float16 doubles when read, and a tied weight may be stored once and listed twice. Trained weights hardly shrink when
# packed, zeros of a few megabytes do.
LARGEST_RATIO, LARGEST_SURPLUS = 4, 64 << 20
_STATUS = Path("/proc/self/statm")


class Room:
    """Counts what is read from a file: at most ``LARGEST_RATIO`` times its size and ``LARGEST_SURPLUS`` bytes."""

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self._what, self._left = f"{kind} file {path}", os.path.getsize(path) * LARGEST_RATIO + LARGEST_SURPLUS

    def take(self, size: int) -> None:
        """Counts ``size`` bytes more, before they are allocated.

        Raises:
            UserError: there is not so much room left.
        """
        self._left -= size
        if self._left < 0:
            raise UserError(
                f"{self._what} unpacks to too many times its size: at most {LARGEST_RATIO} times and "
                f"{LARGEST_SURPLUS >> 20} MB are read. Save the model uncompressed, each weight once."
            )


@contextlib.contextmanager
def little_memory(spare: int) -> Iterator[None]:
    """Lets the process take at most ``spare`` bytes more inside the block: for libraries that believe a length in a file.

    Only Linux can be told so; elsewhere the block runs as it would without. Keep the block short: the limit is that of all
    the process's threads.
    """
    if not _STATUS.exists():
        yield
        return
    import resource  # which Windows lacks

    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(_STATUS.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + spare
    allowed = [limit, *(value for value in before if value != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(allowed), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
