"""A reader of pickles that builds only numbers, text, tuples, lists and dictionaries, in bounded memory and time.

Python's own unpickler takes any object as a key, whose hash may take forever (tuples of the same tuples), makes room for
whatever the pickle asks, and sets attributes on what it built. A state dict needs none of that.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_PICKLE_BYTES = 16 << 20
MAX_OPERATIONS = 1 << 20
"""A tensor takes about 40 of them and 250 bytes, so these are enough for 25,000 tensors."""
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
    """What a pickle may call, under the name of something that it stands in for."""

    call: Callable[..., Any]


class _BoundedStream:
    """Hands out at most so many bytes of a stream; without ``tell``, which would be called for every operation."""

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
        """Takes what gives a global by module and name (a ``Function`` may be called), and an object by persistent id."""
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

        Dictionaries of every class are plain ones with text for keys; what is set on them beside their items is dropped.

        Raises:
            OtherKeyError: a dictionary's key is not text.
            Exception: of almost any kind: what ``find_global`` raises, or the pickle is damaged, has an operation that
                plain weights do not need, or is larger than ``MAX_PICKLE_BYTES`` or ``MAX_OPERATIONS``.
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
        elif name in _BYTE_STRINGS:  # of files saved under Python 2; pickletools reads them as Latin-1
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
        """Passes over what was popped."""

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
            # Tuples of tuples take forever to hash, and numbers can be chosen to have one hash.
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
        """Passes over attributes of a dictionary: PyTorch keeps the versions of modules in one."""
        target, _state = self._pop_many(2)
        if type(target) is not dict:
            raise ValueError(f"it sets attributes of an object of type {type(target).__name__}")
        self._push(target)


class OtherKeyError(ValueError):
    """A dictionary has a key that is not text; the message is the key's type."""


def _checked(value: Any) -> Any:
    if isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair could not be printed
    return value
