"""Reads weights from ``model.safetensors``, written from PyTorch or from TensorFlow, and writes such files."""

import os

import numpy as np
import safetensors
from safetensors.numpy import save

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.dtypes import decode
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import replacing

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
MAX_HEADER_BYTES = 16 << 20
"""Largest header that is read; a tensor takes about 100 bytes of it."""


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads every tensor of a safetensors file; float16 and bfloat16 become float32.

    Args:
        path: the file. Its metadata (``format`` "pt" or "tf") is ignored: the names show the layout.

    Returns:
        The arrays under the names and in the shapes of the file.

    Raises:
        UserError: the file cannot be read, its header is too large, or a tensor's number format or shape is not supported.

    Source: the format's description at https://huggingface.co/docs/safetensors.
    """
    try:
        # The low-level call checks the header against the data and, unlike safetensors.numpy, supports bfloat16.
        tensors = safetensors.deserialize(_checked_bytes(path))
    except (OSError, ValueError, MemoryError, safetensors.SafetensorError) as error:
        raise damaged(path, "safetensors", error) from None
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise UserError(
                f"safetensors file {path}: tensor {shown(name)} has the number format {tensor['dtype']}; supported are "
                f"{', '.join(_DTYPES)}. Save the model in float32, float16 or bfloat16."
            )
        array = decode(tensor["data"], _DTYPES[tensor["dtype"]])
        try:
            arrays[name] = array.reshape(tensor["shape"])
        except (ValueError, OverflowError):  # more axes than NumPy supports, or longer ones beside an empty one
            raise damaged(path, "safetensors", f"tensor {shown(name)} has the shape {shown(tensor['shape'])}") from None
    return arrays


def _checked_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns the file's bytes after checking that its header is small: parsing a header takes many times its size."""
    with open(path, "rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if length > os.fstat(stream.fileno()).st_size:
            raise ValueError(f"it starts with {start!r}, which is not the length of a header in it")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"its header has {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
        return start + stream.read()


def write_safetensors(path: str | os.PathLike[str], arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays by name, whole or not at all, with the metadata that transformers requires for PyTorch's layout."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # adds no axis to a scalar
    with replacing(path) as temporary:  # the library itself writes files with mode 0600
        temporary.write_bytes(save(contiguous, {"format": "pt"}))
