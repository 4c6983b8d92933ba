"""Weights from Hugging Face's ``tf_model.h5`` and its shards."""

import os
from collections.abc import Iterator

import h5py
import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.errors import UserError

# Keras lists weights of the model itself, which are no layer's, in this group.
_MODEL_LEVEL = "top_level_model_weights"
# Trained weights hardly shrink when packed, zeros of a few megabytes do: a file that unpacks to more than this many times
# its size and so many bytes is no weight file.
_LARGEST_RATIO, _LARGEST_SURPLUS = 4, 64 << 20


def read_h5(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the weights of a Keras HDF5 weights file; float16 becomes float32.

    Args:
        path: a ``tf_model.h5`` (weights listed per layer), or a shard of one (weights at the top level).

    Returns:
        The arrays under their Keras names, for instance ``tf_bert_model/bert/pooler/dense/bias:0``.

    Raises:
        UserError: the file cannot be read, is not a Keras weights file, or a weight's data lies outside the file.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as file:
            room = os.path.getsize(path) * _LARGEST_RATIO + _LARGEST_SURPLUS
            for name, dataset in _datasets(file, path):
                _check(dataset, file, f"HDF5 file {path}: weight {name!r}")
                room -= dataset.nbytes
                if room < 0:
                    raise UserError(f"HDF5 file {path} unpacks to too many times its size; save the model uncompressed.")
                array = np.asarray(dataset[()])
                array = array.astype(np.float32) if array.dtype == np.float16 else array
                # A tied weight is listed with every layer that uses it.
                if name in arrays and not np.array_equal(arrays[name], array, equal_nan=True):
                    raise UserError(f"HDF5 file {path}: weight {name!r} is stored twice, with different values.")
                arrays[name] = array
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, "HDF5", error) from None
    return arrays


def _datasets(file: h5py.File, path: str | os.PathLike[str]) -> Iterator[tuple[str, h5py.Dataset]]:
    layers = _names(file, "layer_names")
    if layers is None:
        raise UserError(
            f"HDF5 file {path} is not a Keras weights file: it has no attribute layer_names; it holds {list(file)[:10]}. "
            "Save the weights with save_pretrained or save_weights."
        )
    for layer in layers + [name for name in file if name == _MODEL_LEVEL and name not in layers]:
        node = file[layer]
        if isinstance(node, h5py.Dataset):
            yield layer, node
        else:
            yield from ((name, node[name]) for name in _names(node, "weight_names") or [])


def _names(node: h5py.Group, attribute: str) -> list[str] | None:
    """The names in an attribute; Keras splits one above 64 kB (HDF5's limit) into attribute0, attribute1, ..."""
    if attribute in node.attrs:
        parts = [node.attrs[attribute]]
    else:
        parts = []
        while f"{attribute}{len(parts)}" in node.attrs:
            parts.append(node.attrs[f"{attribute}{len(parts)}"])
        if not parts:
            return None
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _check(dataset: h5py.Dataset, file: h5py.File, where: str) -> None:
    # HDF5 can point at data in other files; a weight file that does so would make us read files it was not given.
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise UserError(f"{where}: its data is in another file; a weight file must hold its own data.")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > stored and (not dataset.chunks or not stored):
        raise UserError(f"{where}: shape {dataset.shape} needs {dataset.nbytes} bytes, the file holds {stored}.")
    if dataset.dtype.kind not in "fiub":
        raise UserError(f"{where}: number format {dataset.dtype} is not supported; save the model in float32.")
