"""The pickle inside a PyTorch file, read without PyTorch and without running what the pickle asks for."""

import math
import os
import pickle
import pickletools
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.errors import UserError

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

MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")
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


def _allowed_globals() -> dict[tuple[str, str], object]:
    """The only globals a pickle may name, and what stands in for them.

    They are made anew for each file: a pickle can set attributes on what it is given, and must not reach another file.
    """

    def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_unused: Any) -> TensorRecord:
        return TensorRecord(storage, offset, size, stride)

    def rebuild_parameter(data: Any, *_unused: Any) -> Any:
        return data

    allowed: dict[tuple[str, str], object] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    }
    for module in ("torch", "torch.cuda", "torch.storage"):
        allowed.update({(module, name): dtype for name, dtype in STORAGE_DTYPES.items()})
    return allowed


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, path: str | os.PathLike[str]) -> None:
        # Files saved under Python 2 hold byte strings.
        super().__init__(stream, encoding="utf-8")
        self._path = path
        self._allowed = _allowed_globals()
        self.storages: dict[str, Storage] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in self._allowed:
            raise UserError(
                f"PyTorch file {self._path} asks for {module_name}.{global_name}, which plain weights do not need and which "
                "may run code; nothing of it was run. Use the model's model.safetensors, or save only the weights: "
                "torch.save(model.state_dict(), ...)."
            )
        return self._allowed[module_name, global_name]

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _location, size, *view = pid
        if kind != "storage" or dtype not in STORAGE_DTYPES.values() or any(part is not None for part in view):
            raise ValueError(f"unknown kind of stored object {pid!r:.200}")
        if type(key) is not str or type(size) is not int or size < 0:
            raise ValueError(f"storage with the key {key!r:.100} and the size {size!r:.100}")
        storage = Storage(dtype, key, size)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key!r:.100} is described in two ways")
        return storage


def load_pickle(stream: BinaryIO, path: str | os.PathLike[str]) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle, leaving ``stream`` after it.

    Args:
        stream: at the pickle's first byte.
        path: the file to name in errors.

    Returns:
        The pickled object, with a ``TensorRecord`` for every tensor, and the storages it refers to by key.

    Raises:
        UserError: the pickle is damaged, or names a global that is not needed to rebuild tensors.
    """
    unpickler = _RestrictedUnpickler(stream, path)
    try:
        _check_memo(stream)
        return unpickler.load(), unpickler.storages
    except UserError:
        raise
    except Exception as error:
        # A damaged pickle can raise almost any exception (documentation of pickle.UnpicklingError).
        raise damaged(path, "PyTorch", f"its pickle is broken: {type(error).__name__}: {error}") from None


def _check_memo(stream: BinaryIO) -> None:
    """Refuses a pickle whose memo has a gap: the unpickler makes room for every number below the largest."""
    start = stream.tell()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name in MEMO_OPCODES and argument > number:
            raise ValueError(f"object {argument} is memorized after {number} operations")
    stream.seek(start)


def tensor_records(value: Any, path: str | os.PathLike[str]) -> dict[str, TensorRecord]:
    """Returns the tensors of a state dict.

    Raises:
        UserError: ``value`` is not a dict of tensors.
    """
    if not isinstance(value, dict):
        raise UserError(f"PyTorch file {path} holds a {type(value).__name__}, not a state dict. {_ADVICE}")
    # Not value.items(): a pickle can put an attribute of that name on an OrderedDict.
    for name, record in dict.items(value):
        if not isinstance(name, str) or not isinstance(record, TensorRecord):
            raise UserError(f"PyTorch file {path}: entry {name!r} is a {type(record).__name__}, not a tensor. {_ADVICE}")
    return dict(dict.items(value))


def view_tensor(record: TensorRecord, numbers: np.ndarray) -> np.ndarray:
    """Returns the tensor that ``record`` describes, contiguous.

    Args:
        record: the description; everything in it comes from the file and is checked here.
        numbers: its storage, one-dimensional.

    Raises:
        ValueError: the description does not fit the storage.
    """
    _storage, offset, size, stride = record
    parts = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 32 or any(type(part) is not int or part < 0 for part in parts):
        raise ValueError(f"offset {offset}, size {size} and stride {stride} do not describe a tensor")
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride))
    # More elements than the storage holds would need memory that the file does not account for.
    if not 0 < count <= len(numbers) or last >= len(numbers):
        raise ValueError(f"offset {offset}, size {size} and stride {stride} leave its storage of {len(numbers)} numbers")
    # The stride of an axis of length 1 is never used and may be any number.
    steps = [step * numbers.itemsize if length > 1 else 0 for length, step in zip(size, stride)]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers[offset:], size, steps)).reshape(size)
