"""Reads weights from a TensorFlow 1 checkpoint (Google's BERT, EasyTransfer's models and training runs)."""

import contextlib
import glob
import math
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import readable_by_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

MAX_AXES = 32
_KIND = "TensorFlow checkpoint"
_OPTIMIZER_SCOPE = re.compile(
    r"(Adam\w*|Adagrad\w*|Adadelta\w*|RMSProp\w*|Momentum|Ftrl|adam_[mv]|lamb_[mv]|beta[12]_power|global_step)(_\d+)?"
)


def is_optimizer_state(name: str) -> bool:
    """Returns whether a variable belongs to an optimizer (a slot, a beta power, the step counter) and not to the model."""
    return any(_OPTIMIZER_SCOPE.fullmatch(scope) for scope in name.split("/"))


def read_tf1_checkpoint(prefix: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the model's variables from a checkpoint; optimizer state is skipped without being loaded.

    Args:
        prefix: the path without ``.index`` and ``.data-00000-of-00001``.

    Returns:
        The arrays under the names of the variables; float16 and bfloat16 become float32.

    Raises:
        UserError: a file is missing or cannot be read, or the checkpoint is in TensorFlow 2's object format.
    """
    prefix = Path(prefix)
    _check_files(prefix)
    with _opened(prefix) as reader:
        dtypes = reader.get_variable_to_dtype_map()
        if any(name.endswith("/.ATTRIBUTES/VARIABLE_VALUE") for name in dtypes):
            raise UserError(
                f"{_KIND} {prefix} is in TensorFlow 2's object form, which names variables by Python attributes. "
                "Load it with the program that wrote it and save it with save_pretrained."
            )
        wanted = [name for name, dtype in dtypes.items() if _is_number(dtype) and not is_optimizer_state(name)]
        arrays = {name: np.asarray(reader.get_tensor(name)) for name in sorted(wanted)}
    return {name: _half_to_float32(array) for name, array in arrays.items()}


def variable_names(prefix: str | os.PathLike[str]) -> list[str]:
    """Returns the names of a checkpoint's variables, including optimizer state.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    prefix = Path(prefix)
    _check_files(prefix)
    with _opened(prefix) as reader:
        return list(reader.get_variable_to_dtype_map())


@contextlib.contextmanager
def _opened(prefix: Path) -> "Iterator[tf.train.CheckpointReader]":
    """Yields a reader of a checkpoint whose index was checked; errors in the block become a ``UserError``."""
    # Slow to import, and no other format needs it.
    import tensorflow as tf

    try:
        _check_index(prefix)
        with readable_by_tensorflow(prefix) as path:
            yield tf.train.load_checkpoint(path)
    except UserError:
        raise
    except Exception as error:
        # Errors of TensorFlow and protobuf, and of NumPy where there is no memory for an array.
        raise damaged(prefix, _KIND, error) from None


def _check_files(prefix: Path) -> None:
    index = prefix.with_name(f"{prefix.name}.index")
    data = _data_files(prefix)
    total = re.search(r"-of-(\d{5})$", data[0].name) if data else None
    if not index.is_file() or total is None or len(data) < int(total[1]):
        raise UserError(
            f"{_KIND} {prefix} is not complete: it needs {index.name} and all of {prefix.name}.data-NNNNN-of-NNNNN "
            f"in one folder; found {[path.name for path in (index, *data) if path.is_file()]}."
        )


def _data_files(prefix: Path) -> list[Path]:
    return sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))


def _check_index(prefix: Path) -> None:
    """Raises an error if the index would crash TensorFlow, or lists more bytes than the data files have."""
    import tensorflow as tf
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

    index = prefix.with_name(f"{prefix.name}.index")
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise ValueError(f"its index has more than {MAX_INDEX_BYTES:,} bytes")
    left = 2 * sum(path.stat().st_size for path in _data_files(prefix))
    for number, (key, value) in enumerate(read_index(index.read_bytes())):
        if (number == 0) != (key == b""):
            raise ValueError("its index does not start with a header, or has two")
        if number == 0:
            BundleHeaderProto.FromString(value)
            continue
        entry = BundleEntryProto.FromString(value)
        name, sizes = shown(key.decode("utf-8", "replace")), [dim.size for dim in entry.shape.dim]
        if min(entry.shard_id, entry.offset, entry.size) < 0 or not _is_shape(sizes) or entry.shape.unknown_rank:
            raise ValueError(f"its index has an impossible shape or place for {name}")
        # A sliced tensor is assembled in memory of its own, beside the slices.
        left -= math.prod(sizes) * tf.as_dtype(entry.dtype).size if entry.slices else entry.size
        if left < 0:
            raise ValueError(f"its index lists more bytes than the data files have, at {name}")


def _is_shape(sizes: list[int]) -> bool:
    # An axis of length 0 counts as 1: TensorFlow multiplies the lengths up to the first 0.
    return len(sizes) <= MAX_AXES and min(sizes, default=0) >= 0 and math.prod(max(size, 1) for size in sizes) < 1 << 63


def _is_number(dtype: "tf.DType") -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def _half_to_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


MAX_INDEX_BYTES = 16 << 20
"""Largest index, packed or unpacked; a BERT's has 10,000 to 50,000 bytes."""
_FOOTER_BYTES, _MAGIC = 48, 0xDB4775248B80FB57
_PLAIN, _SNAPPY = 0, 1


def read_index(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table, in its order.

    Args:
        data: the whole file.

    Raises:
        ValueError, IndexError, struct.error: the table is damaged, or larger than ``MAX_INDEX_BYTES`` when unpacked.
    """
    if len(data) < _FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as an index does")
    footer, at = data[-_FOOTER_BYTES:], 0
    handle = []
    for _ in range(4):  # place and size of a block that TensorFlow leaves empty, and of the block that lists the blocks
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
    """Yields keys and values; a key is stored without the prefix that it shares with the previous key."""
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
    """Returns a number, stored as seven bits per byte with the lowest first, and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number has more than 64 bits")


def _unpacked(data: bytes, limit: int) -> bytes:
    """Unpacks Snappy data: literal pieces, and copies of earlier output."""
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
