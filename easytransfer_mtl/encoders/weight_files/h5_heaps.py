"""HDF5's heaps of texts, looked through before the library is: it turns in circles on one whose free space has no length."""

import mmap
import os
import struct

_HEAD = struct.Struct("<4sB3sQ")
_OBJECT = struct.Struct("<HHIQ")
_SIGNATURE = b"GCOL"


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Checks every global heap of a file.

    Raises:
        ValueError: the objects of a heap do not fill it one after the other.

    Source: HDF5 File Format Specification 3.0, III.E, with lengths of 8 bytes.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(_SIGNATURE)
        while place >= 0:
            if place + _HEAD.size <= len(data):
                _, version, reserved, size = _HEAD.unpack_from(data, place)
                # Numbers may happen to look like the signature.
                if (version, reserved) == (1, bytes(3)):
                    _check_objects(data, place + _HEAD.size, min(place + size, len(data)))
            place = data.find(_SIGNATURE, place + 1)


def _check_objects(data: mmap.mmap, place: int, end: int) -> None:
    while place + _OBJECT.size <= end:
        number, _, _, size = _OBJECT.unpack_from(data, place)
        # The size of free space, which has the number 0, counts its own head.
        place += size if number == 0 else _OBJECT.size + (size + 7) // 8 * 8
        if (number == 0 and size < _OBJECT.size) or place > end:
            raise ValueError("a heap of texts in it is damaged")
