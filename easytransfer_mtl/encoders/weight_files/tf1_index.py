"""The index of a TensorFlow checkpoint, a sorted table of blocks, read without TensorFlow.

TensorFlow ends the whole process where an index has a shape that cannot be (``CHECK`` in its reader), so what a stranger's
index says is looked through first.

Source: tensorflow/core/lib/io/format.h and table.h (the table, which is LevelDB's), Snappy's format_description.txt.
"""

import struct
from collections.abc import Iterator

MAX_INDEX_BYTES = 16 << 20
"""Largest index, packed or unpacked; that of a BERT has 10,000 to 50,000 bytes."""
_FOOTER_BYTES, _MAGIC = 48, 0xDB4775248B80FB57
_PLAIN, _SNAPPY = 0, 1


def read_index(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table, in its order.

    Args:
        data: the whole file.

    Raises:
        ValueError, IndexError, struct.error: it is damaged, or larger than ``MAX_INDEX_BYTES`` when unpacked.
    """
    if len(data) < _FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as an index does")
    footer, at = data[-_FOOTER_BYTES:], 0
    handle = []
    for _ in range(4):  # place and size of a block that TensorFlow leaves empty, and of the block of blocks
        number, at = _varint(footer, at)
        handle.append(number)
    left = MAX_INDEX_BYTES
    for _, place in _entries(_block(data, handle[2], handle[3], left)):
        start, at = _varint(place, 0)
        block = _block(data, start, _varint(place, at)[0], left)
        left -= len(block)
        yield from _entries(block)


def _block(data: bytes, start: int, size: int, limit: int) -> bytes:
    if start + size + 5 > len(data):
        raise ValueError("a block lies outside the index")
    content, packing = data[start : start + size], data[start + size]
    if packing not in (_PLAIN, _SNAPPY):
        raise ValueError(f"a block is packed in an unknown way, {packing}")
    content = _unpacked(content, limit) if packing == _SNAPPY else content
    if len(content) > limit:
        raise ValueError(f"it unpacks to more than {MAX_INDEX_BYTES:,} bytes")
    return content


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values; a key leaves out what it has in common with the one before."""
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block is cut short")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or at + own + size > end or shared + own > MAX_INDEX_BYTES >> 8:
            raise ValueError("an entry does not fit into its block")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, the lowest first, and where the next one is."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number has more than 64 bits")


def _unpacked(data: bytes, limit: int) -> bytes:
    """Returns what Snappy packed: pieces as they are, and copies of what came before."""
    size, at = _varint(data, 0)
    if size > limit:
        raise ValueError(f"it unpacks to more than {MAX_INDEX_BYTES:,} bytes")
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                width = length - 60
                length, at = int.from_bytes(data[at : at + width], "little") + 1, at + width
            out += data[at : at + length]
            at += length
        else:
            if kind == 1:
                length, back, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
            else:
                width = 2 if kind == 2 else 4
                back, at = int.from_bytes(data[at : at + width], "little"), at + width
            if not 0 < back <= len(out):
                raise ValueError("a packed block is broken")
            piece = bytes(out[-back:][:length])
            out += (piece * (length // len(piece) + 1))[:length]
        if len(out) > size:
            raise ValueError("a packed block is larger than it says")
    return bytes(out)
