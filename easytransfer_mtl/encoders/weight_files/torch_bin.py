"""Reads weights from ``pytorch_model.bin``, in PyTorch's zip format (1.6 and later) or the older stream format."""

import io
import os
import zipfile
from collections.abc import Callable
from typing import BinaryIO, Literal

import numpy as np

from easytransfer_mtl.data.archives import open_archive
from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.dtypes import decode, item_size
from easytransfer_mtl.encoders.weight_files.limits import Room
from easytransfer_mtl.encoders.weight_files.torch_pickle import Storage, load_pickle, tensor_records, view_tensor
from easytransfer_mtl.errors import UserError, shown

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_Loaded = tuple[object, Callable[[Storage], np.ndarray]]
"""The unpickled object, and a function that returns the numbers of a storage."""


def read_torch_bin(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict written by ``torch.save``; needs no PyTorch and runs no code from the file.

    Args:
        path: the file.

    Returns:
        The arrays under their state dict names, in PyTorch's shapes (a Linear's weight is [out, in]); float16 and bfloat16
        become float32.

    Raises:
        UserError: the file cannot be read, holds something other than tensors, asks to run code, or has a tensor outside its
            storage.

    Source: torch/serialization.py of PyTorch 1.5 (stream format) and 2.13 (zip format).
    """
    try:
        with open(path, "rb") as stream:
            first = stream.read(4)
            stream.seek(0)
            if first == b"PK\x03\x04":
                with open_archive(stream) as archive:
                    return _tensors(*_open_zip(archive, path), path)
            if first[:1] == b"\x80":
                return _tensors(*_open_legacy(stream, path), path)
    except UserError:
        raise
    except Exception as error:
        # zipfile documents one exception and raises a dozen others on damaged archives.
        raise damaged(path, "PyTorch", error) from None
    raise damaged(path, "PyTorch", f"it starts with {first!r}, neither a zip archive nor a pickle")


def _tensors(
    value: object, numbers_of: Callable[[Storage], np.ndarray], path: str | os.PathLike[str]
) -> dict[str, np.ndarray]:
    room = Room(path, "PyTorch")
    cache: dict[Storage, np.ndarray] = {}
    arrays = {}
    for name, record in tensor_records(value, path).items():
        storage = record.storage
        if not isinstance(storage, Storage):
            raise ValueError(f"tensor {shown(name)} has no storage")
        if storage not in cache:
            cache[storage] = numbers_of(storage)
        try:
            arrays[name] = view_tensor(record, cache[storage], room.take)
        except (TypeError, ValueError) as error:
            raise UserError(f"PyTorch file {path}: tensor {shown(name)}: {error}. Do not use this file.") from None
    return arrays


def _open_zip(archive: zipfile.ZipFile, path: str | os.PathLike[str]) -> _Loaded:
    names = archive.namelist()
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError(f"a zip archive with {len(pickles)} data.pkl in it; torch.save writes one")
    folder = pickles[0].removesuffix("data.pkl")
    left = os.path.getsize(path)

    def read(name: str, size: int | None = None) -> bytes:
        nonlocal left
        member = _stored(archive, name)
        if size is not None and member.file_size != size:
            raise ValueError(f"member {shown(name)} has {member.file_size} bytes, its description says {shown(size)}")
        left -= member.file_size
        if left < 0:  # overlapping members
            raise ValueError("its members have more bytes together than the file")
        return archive.read(member)

    value, _storages = load_pickle(io.BytesIO(read(pickles[0])), path)
    order: Literal["<", ">"] = ">" if f"{folder}byteorder" in names and read(f"{folder}byteorder") == b"big" else "<"

    def numbers_of(storage: Storage) -> np.ndarray:
        data = read(f"{folder}data/{storage.key}", storage.size * item_size(storage.dtype))
        return decode(data, storage.dtype, order)

    return value, numbers_of


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Returns a member after checking that it is not compressed: a small file could unpack to any size."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"member {shown(name)} is compressed, which torch.save never does")
    return member


def _open_legacy(stream: BinaryIO, path: str | os.PathLike[str]) -> _Loaded:
    magic, _ = load_pickle(stream, path)
    if type(magic) is not int or magic != _LEGACY_MAGIC:
        raise ValueError("a pickle that torch.save did not write")
    protocol, _ = load_pickle(stream, path)
    if type(protocol) is not int or protocol != _LEGACY_PROTOCOL:
        raise ValueError(f"version {shown(protocol)} of PyTorch's stream format; known is {_LEGACY_PROTOCOL}")
    load_pickle(stream, path)  # sizes of C types on the machine that saved it; the numbers are little-endian anyway
    value, storages = load_pickle(stream, path)
    keys, _ = load_pickle(stream, path)
    if type(keys) is not list or not all(type(key) is str for key in keys) or set(keys) != set(storages):
        raise ValueError("its list of storages differs from the storages its tensors use")
    numbers = {key: _read_legacy_storage(stream, storages[key]) for key in keys}
    return value, lambda storage: numbers[storage.key]


def _read_legacy_storage(stream: BinaryIO, storage: Storage) -> np.ndarray:
    count = int.from_bytes(stream.read(8), "little")
    if count != storage.size:
        raise ValueError(f"storage {shown(storage.key)} has {count} numbers, its description says {shown(storage.size)}")
    expected = count * item_size(storage.dtype)
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    if expected > left:
        raise ValueError(f"storage {shown(storage.key)} needs {expected} bytes, {left} are left in the file")
    return decode(stream.read(expected), storage.dtype)
