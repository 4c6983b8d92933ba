"""Opens and reads untrusted zip archives in bounded memory."""

import zipfile
from typing import Any, BinaryIO

MAX_DIRECTORY_BYTES = 16 << 20
"""Largest table of contents (central directory) that is read; an entry takes about 60 bytes plus its name."""


class _DirectoryGuard:
    """Refuses large reads until ``opened`` is set: zipfile reads the whole table of contents with one call."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.opened = stream, False

    def read(self, size: int = -1) -> bytes:
        if not self.opened and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its table of contents has more than {MAX_DIRECTORY_BYTES:,} bytes")
        return self._stream.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_archive(stream: BinaryIO) -> zipfile.ZipFile:
    """Opens a zip archive for reading.

    Args:
        stream: the file, open in binary mode; it stays open.

    Raises:
        zipfile.BadZipFile: the file is not a zip archive, is damaged, or its table of contents is too large.
    """
    guard: Any = _DirectoryGuard(stream)
    try:
        archive = zipfile.ZipFile(guard)
    except zipfile.BadZipFile:
        raise
    except Exception as error:
        # zipfile does not wrap the errors that a damaged archive causes: struct.error, UnicodeDecodeError, OSError, ...
        raise zipfile.BadZipFile(f"damaged: {error}") from None
    guard.opened = True
    return archive


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Returns a member's content; never unpacks more than the size in the table of contents.

    Raises:
        zipfile.BadZipFile: the member is encrypted, is neither stored nor deflated, or is damaged.
    """
    if member.flag_bits & 1:
        raise zipfile.BadZipFile("it is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"it is packed with method {member.compress_type}, not with deflate")
    try:
        with archive.open(member) as stream:
            # Without a size, zipfile unpacks the whole member before it truncates it.
            data = stream.read(member.file_size) if member.file_size else b""
    except zipfile.BadZipFile:
        raise
    except Exception as error:
        raise zipfile.BadZipFile(f"damaged: {type(error).__name__} {error}") from None
    if len(data) != member.file_size:
        raise zipfile.BadZipFile(f"{len(data)} of {member.file_size} bytes are there")
    return data
