"""Reads weights from Hugging Face's ``tf_model.h5`` and its shards."""

import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator

import h5py
import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.limits import Room, little_memory
from easytransfer_mtl.errors import UserError, shown

# Keras lists weights of the model itself, which belong to no layer, in this group.
_MODEL_LEVEL = "top_level_model_weights"
MAX_WEIGHTS = 100_000
"""Most weights that a file may list, repetitions included."""
ATTRIBUTE_ROOM = 256 << 20
"""Bytes that reading an attribute may allocate; HDF5 has no attribute above 64 kB."""
_DEFLATE, _SHUFFLE, _CHECKSUM = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32


def read_h5(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the weights of a Keras HDF5 weights file; float16 becomes float32.

    Args:
        path: a ``tf_model.h5`` (weights listed per layer), or one of its shards (weights at the top level).

    Returns:
        The arrays under their Keras names, for instance ``tf_bert_model/bert/pooler/dense/bias:0``.

    Raises:
        UserError: the file cannot be read, is not a Keras weights file, or a weight's data lies outside the file.
    """
    arrays: dict[str, np.ndarray] = {}
    room = Room(path, "HDF5")
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            for number, (name, dataset) in enumerate(_datasets(file, path), 1):
                if number > MAX_WEIGHTS:
                    raise UserError(f"HDF5 file {path} lists more than {MAX_WEIGHTS:,} weights. Do not use this file.")
                array = _read(dataset, file, f"HDF5 file {path}: weight {shown(name)}", room)
                # A tied weight is listed with every layer that uses it.
                if name in arrays and not np.array_equal(arrays[name], array, equal_nan=True):
                    raise UserError(f"HDF5 file {path}: weight {shown(name)} is stored twice, with different values.")
                arrays[name] = array
    except UserError:
        raise
    except Exception as error:
        # The exception that h5py raises on a damaged file depends on where the damage is.
        raise damaged(path, "HDF5", error) from None
    return arrays


def _read(dataset: h5py.Dataset, file: h5py.File, where: str, room: Room) -> np.ndarray:
    _check(dataset, file, where)
    # dataset.nbytes may overflow. A chunk is read whole, however little of it belongs to the weight.
    sizes = [math.prod(shape) * dataset.dtype.itemsize for shape in (dataset.shape, dataset.chunks or ())]
    room.take(max(sizes))
    if dataset.chunks:
        _check_chunks(dataset, sizes[1], where)
    array = np.asarray(dataset[()])
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _datasets(file: h5py.File, path: str | os.PathLike[str]) -> Iterator[tuple[str, h5py.Dataset]]:
    layers = _names(file, "layer_names")
    if layers is None:
        raise UserError(
            f"HDF5 file {path} is not a Keras weights file: it has no attribute layer_names; it holds {shown(list(file))}. "
            "Save the weights with save_pretrained or save_weights."
        )
    for layer in [*dict.fromkeys(layers)] + [name for name in file if name == _MODEL_LEVEL and name not in layers]:
        node = _opened(file, layer, path)
        if isinstance(node, h5py.Dataset):
            yield layer, node
        else:
            yield from ((name, _opened(node, name, path)) for name in _names(node, "weight_names") or [])


def _opened(group: h5py.Group, name: str, path: str | os.PathLike[str]) -> h5py.Dataset | h5py.Group:
    """Returns the object at path ``name`` below ``group``; does not follow links, which may lead to another file."""
    for part in name.split("/"):
        if isinstance(group.get(part, getlink=True), h5py.HardLink):
            group = group[part]
        elif part in group:
            raise _not_own(f"HDF5 file {path}: weight {shown(name)}")
        else:
            raise KeyError(f"it lists {shown(name)}, which is not there")
    return group


def _not_own(where: str) -> UserError:
    return UserError(f"{where}: its data is in another file; a weight file must hold its own data.")


def _names(node: h5py.Group, attribute: str) -> list[str] | None:
    """Returns the names in an attribute; Keras splits one above 64 kB (HDF5's limit) into attribute0, attribute1, ..."""
    if attribute in node.attrs:
        parts = [_attribute(node, attribute)]
    else:
        parts = []
        while f"{attribute}{len(parts)}" in node.attrs:
            parts.append(_attribute(node, f"{attribute}{len(parts)}"))
        if not parts:
            return None
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _attribute(node: h5py.Group, name: str) -> Iterable[bytes | str]:
    size = math.prod(node.attrs.get_id(name).shape or ())
    if size > MAX_WEIGHTS:
        raise ValueError(f"attribute {name} has {size} entries")
    with little_memory(ATTRIBUTE_ROOM):  # HDF5 allocates whatever length a damaged name claims
        return node.attrs[name]


def _check(dataset: h5py.Dataset, file: h5py.File, where: str) -> None:
    # HDF5 can refer to data in other files; such a weight file would make the program read files that the user did not give.
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise _not_own(where)
    if dataset.dtype.kind not in "fiub":
        raise UserError(f"{where}: number format {dataset.dtype} is not supported; save the model in float32.")
    stored = dataset.id.get_storage_size()
    needed = math.prod(dataset.shape) * dataset.dtype.itemsize
    if needed > stored and (not dataset.chunks or not stored):
        raise UserError(f"{where}: shape {dataset.shape} needs {needed} bytes, the file holds {stored}.")


def _check_chunks(dataset: h5py.Dataset, size: int, where: str) -> None:
    """Raises UserError for packed chunks that hold more than ``size`` bytes: HDF5 unpacks everything before it checks."""
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    if not set(filters) <= {_DEFLATE, _SHUFFLE, _CHECKSUM} or filters.count(_DEFLATE) > 1:
        raise UserError(f"{where} is packed by something else than gzip. Save the model uncompressed.")
    if _DEFLATE not in filters:
        return
    places: list[tuple[int, ...]] = []
    # Asking for the chunks one by one would search through all of them each time.
    dataset.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset))
    for place in places:
        mask, data = dataset.id.read_direct_chunk(place)
        is_packed = not mask >> filters.index(_DEFLATE) & 1
        if is_packed and len(zlib.decompressobj().decompress(data, size + 1)) > size:
            raise UserError(f"{where}: a packed part is larger than it says. Do not use this file.")


_HEAD = struct.Struct("<4sB3sQ")
_OBJECT = struct.Struct("<HHIQ")
_SIGNATURE = b"GCOL"


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Checks every global heap of a file.

    Raises:
        ValueError: the objects of a heap do not fill it without gaps.

    Source: HDF5 File Format Specification 3.0, III.E, with lengths of 8 bytes.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(_SIGNATURE)
        while place >= 0:
            if place + _HEAD.size <= len(data):
                _, version, reserved, size = _HEAD.unpack_from(data, place)
                # Numbers may look like the signature by chance.
                if (version, reserved) == (1, bytes(3)):
                    _check_objects(data, place + _HEAD.size, min(place + size, len(data)))
            place = data.find(_SIGNATURE, place + 1)


def _check_objects(data: mmap.mmap, place: int, end: int) -> None:
    while place + _OBJECT.size <= end:
        number, _, _, size = _OBJECT.unpack_from(data, place)
        # Free space has the number 0, and its size includes its own head.
        place += size if number == 0 else _OBJECT.size + (size + 7) // 8 * 8
        if (number == 0 and size < _OBJECT.size) or place > end:
            raise ValueError("a heap of texts in it is damaged")
