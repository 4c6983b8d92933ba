"""Reads encoder weights from every published layout, under the names in the file."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import refuse_placeholder
from easytransfer_mtl.encoders.weight_files.find import TF1_FORMAT, find_weights
from easytransfer_mtl.encoders.weight_files.h5_file import read_h5
from easytransfer_mtl.encoders.weight_files.safetensors_file import read_safetensors
from easytransfer_mtl.encoders.weight_files.sharded import INDEX_SUFFIX, read_sharded
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import read_tf1_checkpoint
from easytransfer_mtl.encoders.weight_files.torch_bin import read_torch_bin
from easytransfer_mtl.errors import UserError

__all__ = ["ADDITIONAL_FILE", "WEIGHTS_FILE", "WeightFile", "find_weights", "read_weights"]

WEIGHTS_FILE = "model.safetensors"
ADDITIONAL_FILE = "additional.safetensors"
"""Lies beside ``WEIGHTS_FILE`` in an export: weights for which transformers' class has no place."""

_READERS = {"safetensors": read_safetensors, "h5": read_h5, "torch": read_torch_bin, TF1_FORMAT: read_tf1_checkpoint}


@dataclass(frozen=True)
class WeightFile:
    """Weights as they are stored.

    Attributes:
        path: the file, the index of shards, or the prefix of a TensorFlow 1 checkpoint.
        format: "safetensors", "h5", "torch" or "tf1".
        arrays: arrays under the names in the file; float16 and bfloat16 are already converted to float32.
    """

    path: Path
    format: str
    arrays: dict[str, np.ndarray]


def read_weights(location: str | os.PathLike[str]) -> WeightFile:
    """Finds and reads weights; includes those of additional.safetensors beside a model.safetensors.

    Args:
        location: see ``find_weights``.

    Raises:
        UserError: there are no weights, they cannot be read, or both files hold a weight of the same name.
    """
    path, file_format = find_weights(location)
    if path.name.endswith(INDEX_SUFFIX):
        return WeightFile(path, file_format, read_sharded(path))
    if file_format != TF1_FORMAT:
        refuse_placeholder(path)
    arrays = _READERS[file_format](path)
    additional = path.with_name(ADDITIONAL_FILE)
    if path.name == WEIGHTS_FILE and additional.is_file():
        more = read_safetensors(additional)
        twice = sorted(arrays.keys() & more.keys())
        if twice:
            raise UserError(f"{path} and {additional.name} beside it both hold {', '.join(twice)}; remove one of the files.")
        arrays |= more
    return WeightFile(path, file_format, arrays)
