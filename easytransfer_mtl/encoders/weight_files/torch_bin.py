"""Weights from ``pytorch_model.bin``, in PyTorch's zip format (1.6 and later) and in the stream format before it."""

import os
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.dtypes import decode, item_size
from easytransfer_mtl.encoders.weight_files.torch_pickle import Storage, load_pickle, tensor_records, view_tensor
from easytransfer_mtl.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_Loaded = tuple[object, Callable[[Storage], np.ndarray]]
"""The unpickled object, and how to get at the numbers of a storage."""


def read_torch_bin(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict written by ``torch.save``; needs no PyTorch and runs nothing from the file.

    Args:
        path: the file.

    Returns:
        The arrays under their state dict names, in PyTorch's shapes (a Linear's weight is [out, in]); float16 and
        bfloat16 become float32.

    Raises:
        UserError: the file cannot be read, holds something other than tensors, asks for code to be run, or a tensor lies
            outside its storage.

    Source: torch/serialization.py of PyTorch 1.5 (stream format) and 2.13 (zip format).
    """
    try:
        with open(path, "rb") as stream:
            first = stream.read(4)
            stream.seek(0)
            if first == b"PK\x03\x04":
                with zipfile.ZipFile(stream) as archive:
                    return _tensors(*_open_zip(archive, path), path)
            if first[:1] == b"\x80":
                return _tensors(*_open_legacy(stream, path), path)
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError, RuntimeError) as error:
        raise damaged(path, "PyTorch", error) from None
    raise damaged(path, "PyTorch", f"it starts with {first!r}, neither a zip archive nor a pickle")


def _tensors(
    value: object, numbers_of: Callable[[Storage], np.ndarray], path: str | os.PathLike[str]
) -> dict[str, np.ndarray]:
    cache: dict[Storage, np.ndarray] = {}
    arrays = {}
    for name, record in tensor_records(value, path).items():
        storage = record.storage
        if not isinstance(storage, Storage):
            raise ValueError(f"tensor {name!r} has no storage")
        if storage not in cache:
            cache[storage] = numbers_of(storage)
        try:
            arrays[name] = view_tensor(record, cache[storage])
        except (TypeError, ValueError) as error:
            raise UserError(f"PyTorch file {path}: tensor {name!r}: {error}. Do not use this file.") from None
    return arrays


def _open_zip(archive: zipfile.ZipFile, path: str | os.PathLike[str]) -> _Loaded:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError(f"a zip archive with {len(pickles)} data.pkl in it; torch.save writes one")
    folder = pickles[0].removesuffix("data.pkl")
    with archive.open(_stored(archive, pickles[0])) as stream:
        value, _storages = load_pickle(stream, path)
    order = "<"
    if f"{folder}byteorder" in archive.namelist() and archive.read(_stored(archive, f"{folder}byteorder")) == b"big":
        order = ">"

    def numbers_of(storage: Storage) -> np.ndarray:
        member = _stored(archive, f"{folder}data/{storage.key}")
        expected = storage.size * item_size(storage.dtype)
        if member.file_size != expected:
            raise ValueError(f"storage {storage.key!r} has {member.file_size} bytes, its description says {expected}")
        return decode(archive.read(member), storage.dtype, order)

    return value, numbers_of


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The member, once it is known not to be compressed: a small file could unpack to any size."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"member {name!r} is compressed, which torch.save never does")
    return member


def _open_legacy(stream: BinaryIO, path: str | os.PathLike[str]) -> _Loaded:
    magic, _ = load_pickle(stream, path)
    if magic != _LEGACY_MAGIC:
        raise ValueError("a pickle that torch.save did not write")
    protocol, _ = load_pickle(stream, path)
    if protocol != _LEGACY_PROTOCOL:
        raise ValueError(f"version {protocol!r:.100} of PyTorch's stream format; known is {_LEGACY_PROTOCOL}")
    load_pickle(stream, path)  # sizes of C types on the machine that saved it; the numbers are little-endian all the same
    value, storages = load_pickle(stream, path)
    keys, _ = load_pickle(stream, path)
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise ValueError("its list of storages differs from the storages its tensors use")
    numbers = {key: _read_legacy_storage(stream, storages[key]) for key in keys}
    return value, lambda storage: numbers[storage.key]


def _read_legacy_storage(stream: BinaryIO, storage: Storage) -> np.ndarray:
    count = int.from_bytes(stream.read(8), "little")
    if count != storage.size:
        raise ValueError(f"storage {storage.key!r} has {count} numbers, its description says {storage.size}")
    expected = count * item_size(storage.dtype)
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    if expected > left:
        raise ValueError(f"storage {storage.key!r} needs {expected} bytes, {left} are left in the file")
    return decode(stream.read(expected), storage.dtype)
