"""Weights from a TensorFlow 1 checkpoint (Google's BERT, EasyTransfer's models and training runs)."""

import contextlib
import glob
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.encoders.weight_files.tf1_index import MAX_INDEX_BYTES, read_index
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import readable_by_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

MAX_AXES = 32
_KIND = "TensorFlow checkpoint"
_OPTIMIZER_SCOPE = re.compile(
    r"(Adam\w*|Adagrad\w*|Adadelta\w*|RMSProp\w*|Momentum|Ftrl|adam_[mv]|lamb_[mv]|beta[12]_power|global_step)(_\d+)?"
)


def is_optimizer_state(name: str) -> bool:
    """Tells whether a variable is an optimizer's (a slot, a beta power, the step counter), not the model's."""
    return any(_OPTIMIZER_SCOPE.fullmatch(scope) for scope in name.split("/"))


def read_tf1_checkpoint(prefix: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the model's variables from a checkpoint; optimizer state is skipped without being loaded.

    Args:
        prefix: the path without ``.index`` and ``.data-00000-of-00001``.

    Returns:
        The arrays under the names of the variables; float16 and bfloat16 become float32.

    Raises:
        UserError: a file is missing or cannot be read, or the checkpoint is TensorFlow 2's object form.
    """
    prefix = Path(prefix)
    _check_files(prefix)
    with _opened(prefix) as reader:
        dtypes = reader.get_variable_to_dtype_map()
        if any(name.endswith("/.ATTRIBUTES/VARIABLE_VALUE") for name in dtypes):
            raise UserError(
                f"{_KIND} {prefix} is in TensorFlow 2's object form, which names variables by Python attributes. "
                "Load it with the program that wrote it and save it with save_pretrained."
            )
        wanted = [name for name, dtype in dtypes.items() if _is_number(dtype) and not is_optimizer_state(name)]
        arrays = {name: np.asarray(reader.get_tensor(name)) for name in sorted(wanted)}
    return {name: _half_to_float32(array) for name, array in arrays.items()}


def variable_names(prefix: str | os.PathLike[str]) -> list[str]:
    """Returns the names of a checkpoint's variables, optimizer state and all.

    Raises:
        UserError: it cannot be read.
    """
    prefix = Path(prefix)
    _check_files(prefix)
    with _opened(prefix) as reader:
        return list(reader.get_variable_to_dtype_map())


@contextlib.contextmanager
def _opened(prefix: Path) -> "Iterator[tf.train.CheckpointReader]":
    """Gives a checkpoint's reader, its index checked; whatever damage does in the block is a ``UserError``."""
    # Slow to import, and no other format needs it.
    import tensorflow as tf

    try:
        _check_index(prefix)
        with readable_by_tensorflow(prefix) as path:
            yield tf.train.load_checkpoint(path)
    except UserError:
        raise
    except Exception as error:
        # TensorFlow's errors, protobuf's, and those of NumPy where there is no memory for an array.
        raise damaged(prefix, _KIND, error) from None


def _check_files(prefix: Path) -> None:
    index = prefix.with_name(f"{prefix.name}.index")
    data = _data_files(prefix)
    total = re.search(r"-of-(\d{5})$", data[0].name) if data else None
    if not index.is_file() or total is None or len(data) < int(total[1]):
        raise UserError(
            f"{_KIND} {prefix} is not complete: it needs {index.name} and all of {prefix.name}.data-NNNNN-of-NNNNN "
            f"in one folder; found {[path.name for path in (index, *data) if path.is_file()]}."
        )


def _data_files(prefix: Path) -> list[Path]:
    return sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))


def _check_index(prefix: Path) -> None:
    """Raises an error if the index says what TensorFlow cannot bear, or more numbers than the data files have."""
    import tensorflow as tf
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

    index = prefix.with_name(f"{prefix.name}.index")
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise ValueError(f"its index has more than {MAX_INDEX_BYTES:,} bytes")
    left = 2 * sum(path.stat().st_size for path in _data_files(prefix))
    for number, (key, value) in enumerate(read_index(index.read_bytes())):
        if (number == 0) != (key == b""):
            raise ValueError("its index does not start with a header, or has two")
        if number == 0:
            BundleHeaderProto.FromString(value)
            continue
        entry = BundleEntryProto.FromString(value)
        name, sizes = shown(key.decode("utf-8", "replace")), [dim.size for dim in entry.shape.dim]
        if min(entry.shard_id, entry.offset, entry.size) < 0 or not _is_shape(sizes) or entry.shape.unknown_rank:
            raise ValueError(f"its index has an impossible shape or place for {name}")
        # A tensor in slices is put together beside them.
        left -= math.prod(sizes) * tf.as_dtype(entry.dtype).size if entry.slices else entry.size
        if left < 0:
            raise ValueError(f"its index tells of more bytes than the data files have, at {name}")


def _is_shape(sizes: list[int]) -> bool:
    # An axis of length 0 counts as 1: TensorFlow multiplies up to the first one.
    return len(sizes) <= MAX_AXES and min(sizes, default=0) >= 0 and math.prod(max(size, 1) for size in sizes) < 1 << 63


def _is_number(dtype: "tf.DType") -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def _half_to_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array
