"""Copies tensors from safetensors files to another one piece by piece, so that no whole tensor is in memory."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors

from easytransfer_mtl.encoders.weight_files.damage import damaged, refuse_placeholder
from easytransfer_mtl.encoders.weight_files.safetensors_file import MAX_HEADER_BYTES
from easytransfer_mtl.errors import shown
from easytransfer_mtl.files import naming, replacing

PIECE = 16 << 20
"""Bytes that are copied at once."""
_CODES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8", "b1": "BOOL"}


class Tensor(Protocol):
    """What can be written as a tensor."""

    @property
    def dtype(self) -> str:
        """Safetensors' name of the number format."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes."""

    @property
    def size(self) -> int:
        """The bytes."""

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes, little-endian and in row-major order."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: its number format, shape, first byte in the file and number of bytes."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes."""
        with naming(self.path), open(self.path, "rb") as stream:
            stream.seek(self.start)
            left = self.size
            while left:
                piece = stream.read(min(left, PIECE))
                if not piece:
                    raise damaged(self.path, "safetensors", "it became shorter while it was read")
                left -= len(piece)
                yield piece

    def pieces_of_rows(self, rows: np.ndarray) -> Iterator[bytes]:
        """Yields the bytes of rows, whose indices along the first axis ascend."""
        width = self.size // self.shape[0]
        at_once = max(1, PIECE // width)
        with naming(self.path), open(self.path, "rb") as stream:
            for first in range(0, self.shape[0], at_once):
                wanted = rows[(rows >= first) & (rows < first + at_once)] - first
                if len(wanted):
                    stream.seek(self.start + first * width)
                    piece = stream.read(width * (int(wanted[-1]) + 1))
                    yield np.frombuffer(piece, np.uint8).reshape(-1, width)[wanted].tobytes()


@dataclass(frozen=True)
class ArrayTensor:
    """A tensor in memory."""

    array: np.ndarray

    @property
    def dtype(self) -> str:
        """Safetensors' name of the number format."""
        return _CODES[self.array.dtype.str[1:]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes."""
        return self.array.shape

    @property
    def size(self) -> int:
        """The bytes."""
        return self.array.nbytes

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes."""
        yield _little_endian(self.array)

    def pieces_of_rows(self, rows: np.ndarray) -> Iterator[bytes]:
        """Yields the bytes of rows, whose indices along the first axis ascend."""
        yield _little_endian(self.array[rows])


@dataclass(frozen=True)
class RowsOf:
    """Some rows of a tensor, whose indices ascend."""

    tensor: StoredTensor | ArrayTensor
    rows: np.ndarray

    @property
    def dtype(self) -> str:
        """Safetensors' name of the number format."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes."""
        return (len(self.rows), *self.tensor.shape[1:])

    @property
    def size(self) -> int:
        """The bytes."""
        return self.tensor.size // self.tensor.shape[0] * len(self.rows)

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes."""
        return self.tensor.pieces_of_rows(self.rows)


def _little_endian(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def stored_tensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Returns the tensors of a safetensors file by name, without reading them.

    Raises:
        UserError: the file is no safetensors file, is damaged, or its header is too large.
    """
    path = Path(path)
    refuse_placeholder(path)
    try:
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(MAX_HEADER_BYTES, path.stat().st_size):
                raise ValueError(f"its header would have {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
            header = json.loads(stream.read(length))
        with safetensors.safe_open(path, "numpy"):
            pass  # which checks the header against the file
    except (OSError, ValueError, RecursionError, MemoryError, safetensors.SafetensorError) as error:
        raise damaged(path, "safetensors", error) from None
    found = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            first, last = tensor["data_offsets"]
            found[name] = StoredTensor(path, tensor["dtype"], tuple(tensor["shape"]), 8 + length + first, last - first)
    if not found:
        raise damaged(path, "safetensors", "it holds no tensor")
    return found


def copy_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file in PyTorch's layout, whole or not at all, with a piece in memory at a time.

    Wide number formats come first, so that each tensor begins at a multiple of its numbers' size.
    """
    order = sorted(tensors, key=lambda name: (-_item_size(tensors[name]), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor = tensors[name]
        header[name] = {
            "dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [end, end + tensor.size],
        }  # fmt: skip
        end += tensor.size
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    content += b" " * (-len(content) % 8)
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        stream.write(len(content).to_bytes(8, "little") + content)
        for name in order:
            written = sum(stream.write(piece) for piece in tensors[name].pieces())
            assert written == tensors[name].size, shown(name)


def _item_size(tensor: Tensor) -> int:
    return tensor.size // max(1, math.prod(tensor.shape))
