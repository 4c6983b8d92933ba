"""PyTorch files as a stranger may write them, without PyTorch."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path


class Pid(tuple):
    """Stands for a persistent id while a crafted pickle is written."""


class Global:
    """Stands for a global, whether or not the module is there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Stands for the call of a global."""

    def __init__(self, function: Global, *args: object) -> None:
        self.function, self.args = function, args


class CraftingPickler(pickle._Pickler):
    """The pure-Python pickler: PyTorch's globals are written by name, since PyTorch is not there to look them up."""

    def persistent_id(self, value: object) -> object:
        return tuple(value) if isinstance(value, Pid) else None

    def save(self, value: object, save_persistent_id: bool = True) -> None:
        if isinstance(value, Global):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(value.args)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def crafted_pickle(value: object) -> bytes:
    stream = io.BytesIO()
    CraftingPickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def tensor(offset: object, size: object, stride: object, numel: object = 6, key: object = "0") -> Call:
    storage = Pid(("storage", Global("torch", "FloatStorage"), key, "cpu", numel))
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, False, OrderedDict())


def write_zip(path: Path, value: object, numbers: bytes = bytes(24), compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", value if isinstance(value, bytes) else crafted_pickle(value))
        archive.writestr("archive/data/0", numbers)
    return path


def write_legacy(path: Path, value: object, keys: object = ("0",), count: int = 6, numbers: bytes = bytes(24)) -> Path:
    pickles = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    pickles += [value if isinstance(value, bytes) else crafted_pickle(value), pickle.dumps(list(keys), 2)]
    path.write_bytes(b"".join(pickles) + struct.pack("<q", count) + numbers)
    return path
