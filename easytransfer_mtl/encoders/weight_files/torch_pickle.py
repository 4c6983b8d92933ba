"""The pickle inside a PyTorch file, read without PyTorch and without running what the pickle asks for."""

import math
import os
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.pickle_machine import Function, OtherKeyError, PickleMachine
from easytransfer_mtl.errors import UserError, clipped, shown

STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
"""PyTorch's storage classes and the number format of each."""

_ADVICE = "Save it with torch.save(model.state_dict(), ...)."


class Storage(NamedTuple):
    """A block of numbers that tensors point into.

    Attributes:
        dtype: one of the values of ``STORAGE_DTYPES``.
        key: its name in the file.
        size: its length in numbers.
    """

    dtype: str
    key: str
    size: int


class TensorRecord(NamedTuple):
    """A tensor as the pickle describes it, not checked against its storage yet.

    Attributes:
        storage: the block it points into.
        offset: index of its first number in the block.
        size: its shape.
        stride: per axis, the step in the block from one number to the next.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_unused: Any) -> TensorRecord:
    return TensorRecord(storage, offset, size, stride)


def _rebuild_parameter(data: Any, *_unused: Any) -> Any:
    return data


def _rebuild_dict(*items: Any) -> dict[str, Any]:
    if items:
        raise ValueError("it makes an OrderedDict of arguments")
    return {}


_ALLOWED: dict[tuple[str, str], Function | str] = {
    ("collections", "OrderedDict"): Function(_rebuild_dict),
    ("torch._utils", "_rebuild_tensor"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(_rebuild_parameter),
    **{
        (module, name): dtype
        for module in ("torch", "torch.cuda", "torch.storage")
        for name, dtype in STORAGE_DTYPES.items()
    },
}
"""The only globals a pickle may name, and what stands in for them."""


def load_pickle(stream: BinaryIO, path: str | os.PathLike[str]) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle, leaving ``stream`` after it.

    Args:
        stream: at the pickle's first byte.
        path: the file to name in errors.

    Returns:
        The pickled object, with a ``TensorRecord`` for every tensor, and the storages it refers to by key.

    Raises:
        UserError: the pickle is damaged or too large, or names a global that is not needed to rebuild tensors.
    """
    storages: dict[str, Storage] = {}

    def find_global(module: str, name: str) -> Function | str:
        if (module, name) not in _ALLOWED:
            raise UserError(
                f"PyTorch file {path} asks for {clipped(f'{module}.{name}')}, which plain weights do not need and which "
                "may run code; nothing of it was run. Use the model's model.safetensors, or save only the weights: "
                "torch.save(model.state_dict(), ...)."
            )
        return _ALLOWED[module, name]

    try:
        return PickleMachine(find_global, lambda pid: _storage(pid, storages)).read(stream), storages
    except OtherKeyError as error:
        what = f"holds a dictionary with a key of type {error}, not a state dict"
        raise UserError(f"PyTorch file {path} {what}. {_ADVICE}") from None
    except UserError:
        raise
    except Exception as error:
        # A damaged pickle can raise almost any exception (documentation of pickle.UnpicklingError).
        raise damaged(path, "PyTorch", f"its pickle is broken: {type(error).__name__}: {error}") from None


def _storage(pid: Any, storages: dict[str, Storage]) -> Storage:
    """Returns the storage that a persistent id describes, and keeps it in ``storages``.

    The types come first: comparing or printing what a pickle built may take forever.
    """
    if type(pid) is not tuple or len(pid) < 5:
        raise ValueError("unknown kind of stored object")
    kind, dtype, key, _location, size, *view = pid
    if kind != "storage" or type(dtype) is not str or dtype not in STORAGE_DTYPES.values() or view not in ([], [None]):
        raise ValueError("unknown kind of stored object")
    if type(key) is not str or type(size) is not int or size < 0:
        raise ValueError("storage without a name or a size")
    storage = Storage(dtype, key, size)
    if storages.setdefault(key, storage) != storage:
        raise ValueError(f"storage {shown(key)} is described in two ways")
    return storage


def tensor_records(value: Any, path: str | os.PathLike[str]) -> dict[str, TensorRecord]:
    """Returns the tensors of a state dict.

    Raises:
        UserError: ``value`` is not a dict of tensors.
    """
    if type(value) is not dict:
        raise UserError(f"PyTorch file {path} holds a {type(value).__name__}, not a state dict. {_ADVICE}")
    for name, record in value.items():
        if not isinstance(record, TensorRecord):
            kind = type(record).__name__
            raise UserError(f"PyTorch file {path}: entry {shown(name)} is a {kind}, not a tensor. {_ADVICE}")
    return value


def view_tensor(record: TensorRecord, numbers: np.ndarray, take: Callable[[int], None]) -> np.ndarray:
    """Returns the tensor that ``record`` describes, contiguous.

    Args:
        record: the description; everything in it comes from the file and is checked here.
        numbers: its storage, one-dimensional.
        take: is told the tensor's bytes before there is an array of them.

    Raises:
        ValueError: the description does not fit the storage.
    """
    _storage, offset, size, stride = record
    if not (_are_numbers((offset,)) and _are_numbers(size) and _are_numbers(stride) and len(size) == len(stride) <= 32):
        raise ValueError("its offset, size and stride do not describe a tensor")
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride))
    # More elements than the storage holds would need memory that the file does not account for.
    if not 0 < count <= len(numbers) or last >= len(numbers):
        place = f"offset {shown(offset)}, size {shown(size)} and stride {shown(stride)}"
        raise ValueError(f"{place} leave its storage of {len(numbers)} numbers")
    take(count * numbers.itemsize)
    # The stride of an axis of length 1 is never used and may be any number.
    steps = [step * numbers.itemsize if length > 1 else 0 for length, step in zip(size, stride)]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers[offset:], size, steps)).reshape(size)


def _are_numbers(parts: Any) -> bool:
    """Tells whether ``parts`` is a tuple of numbers of at least 0; looks no deeper, where there may be no end."""
    return type(parts) is tuple and all(type(part) is int and part >= 0 for part in parts)
