"""Reads weights that are split over several files, listed in an ``*.index.json``."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import refuse_placeholder
from easytransfer_mtl.encoders.weight_files.h5_file import read_h5
from easytransfer_mtl.encoders.weight_files.safetensors_file import read_safetensors
from easytransfer_mtl.encoders.weight_files.torch_bin import read_torch_bin
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.files import read_json

Weight = TypeVar("Weight")
INDEX_SUFFIX = ".index.json"
_READERS = {".safetensors": read_safetensors, ".h5": read_h5, ".bin": read_torch_bin}


def read_sharded(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads all shards that an index lists.

    Args:
        path: ``model.safetensors.index.json``, ``pytorch_model.bin.index.json`` or ``tf_model.h5.index.json``; the shards
            are in the same folder.

    Returns:
        The arrays of all shards under the names in the shards.

    Raises:
        UserError: the index is invalid or names a file outside its folder, a shard is missing or cannot be read, or a weight
            is not in the shard that the index names or is in two.
    """
    path = Path(path)
    read_shard = _READERS.get(Path(path.name.removesuffix(INDEX_SUFFIX)).suffix)
    if read_shard is None:
        raise UserError(f"Weight index {path}: the name must end in one of {[f'{key}{INDEX_SUFFIX}' for key in _READERS]}.")
    return merged_shards(path, read_shard)


def merged_shards(index: Path, read_shard: Callable[[Path], Mapping[str, Weight]]) -> dict[str, Weight]:
    """Returns what ``read_shard`` makes of all shards that an index lists; errors as in ``read_sharded``."""
    shards: dict[str, list[str]] = {}
    for name, shard in _weight_map(index).items():
        shards.setdefault(shard, []).append(name)
    paths = {shard: _shard_path(index, shard) for shard in sorted(shards)}
    weights: dict[str, Weight] = {}
    for shard in paths:
        found = read_shard(paths[shard])
        if twice := sorted(weights.keys() & found.keys()):
            raise UserError(f"Weight index {index}: weight {shown(twice[0])} is in shard {shard} and in another one.")
        _check_shard(index, shard, shards[shard], found)
        weights.update(found)
    return weights


def _weight_map(path: Path) -> dict[str, str]:
    index = read_json(path, "weight index")
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(name, str) for name in weight_map.values()):
        raise UserError(f'Weight index {path}: expected {{"weight_map": {{weight name: shard file name, ...}}}}.')
    return weight_map


def _shard_path(index: Path, shard: str) -> Path:
    if shard in ("", ".", "..") or any(character in shard for character in "/\\:\0"):
        raise UserError(f"Weight index {index}: shard {shown(shard)} must be the name of a file in the index's own folder.")
    path = index.parent / shard
    # File systems allow no longer names; is_file would raise an OSError.
    if len(os.fsencode(shard)) > 255 or not path.is_file():
        raise UserError(
            f"Weight index {index}: shard {clipped(str(path))} does not exist. Download all files that the index lists."
        )
    refuse_placeholder(path)
    return path


def _check_shard(index: Path, shard: str, names: list[str], found: Mapping[str, object]) -> None:
    # TensorFlow weights are listed with the model's scope (bert/...) and stored without it.
    missing = [name for name in names if name not in found and name.partition("/")[2] not in found]
    if missing:
        raise UserError(
            f"Weight index {index}: shard {shard} has no weight {shown(missing[0])} "
            f"({len(missing)} of {len(names)} missing). The index and the shards are of different versions; download them "
            "together."
        )
