"""Reads the pickle inside a PyTorch file, without PyTorch and without running the code that the pickle asks for."""

import math
import os
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.errors import UserError, clipped, shown

MAX_PICKLE_BYTES = 16 << 20
MAX_OPERATIONS = 1 << 20
"""A tensor takes about 40 operations and 250 bytes, so these limits are enough for 25,000 tensors."""
_MARK = object()
_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8",
)  # fmt: skip
_BYTE_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = ("PROTO", "FRAME", "STOP")


@dataclass(frozen=True)
class Function:
    """A function that a pickle may call, in place of the global that it names."""

    call: Callable[..., Any]


class _BoundedStream:
    """Reads at most ``limit`` bytes of a stream; has no ``tell``, which would be called for every operation."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise ValueError(f"it is longer than {MAX_PICKLE_BYTES:,} bytes, or says so")
        return self._counted(self._stream.read(size))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


class PickleMachine:
    """Reads one pickle."""

    def __init__(self, find_global: Callable[[str, str], Any], find_stored: Callable[[Any], Any]) -> None:
        """Takes functions: module and name -> global (a ``Function`` may be called), persistent id -> object."""
        self._find_global, self._find_stored = find_global, find_stored
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._others: Mapping[str, Callable[[], None]] = {
            "TUPLE": lambda: self._push(tuple(self._pop_to_mark())),
            "LIST": lambda: self._push(self._pop_to_mark()),
            "APPEND": lambda: self._append([self._pop()]),
            "APPENDS": lambda: self._append(self._pop_to_mark()),
            "SETITEM": lambda: self._set_items(self._pop_many(2)),
            "SETITEMS": lambda: self._set_items(self._pop_to_mark()),
            "DICT": self._make_dict,
            "POP": lambda: self._drop(self._pop()),
            "POP_MARK": lambda: self._drop(self._pop_to_mark()),
            "MEMOIZE": lambda: self._memo.update({len(self._memo): self._top()}),
            "STACK_GLOBAL": lambda: self._push_global(*self._pop_many(2)),
            "BINPERSID": lambda: self._push(self._find_stored(self._pop())),
            "REDUCE": self._reduce,
            "BUILD": self._build,
        }

    def read(self, stream: BinaryIO) -> Any:
        """Returns the pickled object and leaves ``stream`` after the pickle.

        Dictionaries of every class become plain ones with text keys; attributes that are set on them are dropped.

        Raises:
            OtherKeyError: a dictionary's key is not text.
            Exception: of almost any type: ``find_global`` raised it, or the pickle is damaged, has an operation that plain
                weights do not need, or exceeds ``MAX_PICKLE_BYTES`` or ``MAX_OPERATIONS``.
        """
        bounded: Any = _BoundedStream(stream, MAX_PICKLE_BYTES)
        for number, (opcode, argument, _) in enumerate(pickletools.genops(bounded)):
            if number >= MAX_OPERATIONS:
                raise ValueError(f"it has more than {MAX_OPERATIONS:,} operations")
            self._run(opcode.name, argument, number)
        return self._pop()

    def _run(self, name: str, argument: Any, number: int) -> None:
        if name in _VALUES:
            self._push(_checked(argument))
        elif name in _CONSTANTS:
            self._push(_CONSTANTS[name]())
        elif name in _TUPLES:
            self._push(tuple(self._pop_many(_TUPLES[name])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if argument > number:
                raise ValueError(f"object {argument} is memorized after {number} operations")
            self._memo[argument] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._push(self._memo[argument])
        elif name in self._others:
            self._others[name]()
        elif name in _BYTE_STRINGS:  # in files saved by Python 2; pickletools reads them as Latin-1
            self._push(argument.encode("latin-1").decode("utf-8"))
        elif name == "GLOBAL":
            self._push_global(*argument.split(" ", 1))
        elif name not in _IGNORED:
            raise ValueError(f"it has the operation {name}, which plain weights do not need")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        return self._stack[-1]

    def _pop(self) -> Any:
        return self._stack.pop()

    def _pop_many(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("its stack runs empty")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        values.reverse()
        return values

    def _drop(self, _values: Any) -> None:
        """Ignores the popped values."""

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise ValueError(f"it appends to an object of type {type(target).__name__}")
        target.extend(values)

    def _make_dict(self) -> None:
        items = self._pop_to_mark()
        self._push({})
        self._set_items(items)

    def _set_items(self, items: list[Any]) -> None:
        target, keys = self._top(), items[::2]
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"it sets items of an object of type {type(target).__name__}")
        for key in keys:
            # Tuples of tuples take forever to hash, and numbers can be chosen to have the same hash.
            if type(key) is not str:
                raise OtherKeyError(type(key).__name__)
        target.update(zip(keys, items[1::2]))

    def _push_global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise ValueError("it names a global by something other than text")
        self._push(self._find_global(module, name))

    def _reduce(self) -> None:
        function, arguments = self._pop_many(2)
        if not isinstance(function, Function) or type(arguments) is not tuple:
            raise ValueError(f"it calls an object of type {type(function).__name__}")
        self._push(function.call(*arguments))

    def _build(self) -> None:
        """Ignores attributes of a dictionary: PyTorch stores the versions of modules in one."""
        target, _state = self._pop_many(2)
        if type(target) is not dict:
            raise ValueError(f"it sets attributes of an object of type {type(target).__name__}")
        self._push(target)


class OtherKeyError(ValueError):
    """A dictionary has a key that is not text; the message is the key's type."""


def _checked(value: Any) -> Any:
    if isinstance(value, str):
        value.encode("utf-8")  # fails for half a surrogate pair, which could not be printed
    return value


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
"""PyTorch's storage class -> number format."""

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
    """A tensor as the pickle describes it, not yet checked against its storage.

    Attributes:
        storage: the block that holds its numbers.
        offset: index of its first number in the block.
        size: its shape.
        stride: for each axis, the step in the block from one number to the next.
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
"""The only globals that a pickle may name -> what replaces them."""


def load_pickle(stream: BinaryIO, path: str | os.PathLike[str]) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle and leaves ``stream`` after it.

    Args:
        stream: at the pickle's first byte.
        path: the file to name in errors.

    Returns:
        The pickled object, with a ``TensorRecord`` for every tensor, and the storages that it refers to, by key.

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
    """Returns the storage that a persistent id describes, and adds it to ``storages``.

    Types are checked first: comparing or printing objects that a pickle built may take forever.
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
    """Returns the tensors of a state dict by name.

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
        numbers: the numbers of its storage, one-dimensional.
        take: called with the tensor's size in bytes before the array is allocated.

    Raises:
        ValueError: the description does not match the storage.
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
    """Returns whether ``parts`` is a tuple of integers of at least 0; looks no deeper, since that might never end."""
    return type(parts) is tuple and all(type(part) is int and part >= 0 for part in parts)
