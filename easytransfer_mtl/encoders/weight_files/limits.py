"""How much a weight file may take up in memory."""

import os

from easytransfer_mtl.errors import UserError

# float16 doubles when read, and a tied weight may be stored once and listed twice. Trained weights hardly shrink when
# packed, zeros of a few megabytes do.
LARGEST_RATIO, LARGEST_SURPLUS = 4, 64 << 20


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
