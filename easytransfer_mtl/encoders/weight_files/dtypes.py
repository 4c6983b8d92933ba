"""Number formats of weight files as NumPy arrays; NumPy has no bfloat16, and models compute in float32."""

from typing import Literal

import numpy as np

_NUMPY_CODES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "b1",
}
SUPPORTED = tuple(_NUMPY_CODES)
"""The number formats that ``decode`` supports."""


def item_size(dtype: str) -> int:
    """Returns the bytes per number of one of ``SUPPORTED``."""
    return np.dtype(_NUMPY_CODES[dtype]).itemsize


def decode(data: bytes | bytearray, dtype: str, byte_order: Literal["<", ">"] = "<") -> np.ndarray:
    """Converts raw bytes to numbers; float16 and bfloat16 become float32 (exactly), other formats stay.

    Args:
        data: a whole number of items.
        dtype: one of ``SUPPORTED``.
        byte_order: ``<`` for little-endian, ``>`` for big-endian.

    Returns:
        A one-dimensional array in the machine's byte order; it may share memory with ``data``.
    """
    raw = np.frombuffer(data, np.dtype(_NUMPY_CODES[dtype]).newbyteorder(byte_order))
    if dtype == "bfloat16":
        # A bfloat16 is the upper half of the float32 with the same value.
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        return raw.astype(np.float32)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)
