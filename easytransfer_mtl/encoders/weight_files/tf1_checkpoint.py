"""Weights from a TensorFlow 1 checkpoint (Google's BERT, EasyTransfer's models and training runs)."""

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from easytransfer_mtl.encoders.weight_files.damage import damaged
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import readable_by_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

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
    # Slow to import, and no other format needs it.
    import tensorflow as tf

    try:
        with readable_by_tensorflow(prefix) as path:
            reader = tf.train.load_checkpoint(path)
            dtypes = reader.get_variable_to_dtype_map()
            if any(name.endswith("/.ATTRIBUTES/VARIABLE_VALUE") for name in dtypes):
                raise UserError(
                    f"{_KIND} {prefix} is in TensorFlow 2's object form, which names variables by Python attributes. "
                    "Load it with the program that wrote it and save it with save_pretrained."
                )
            wanted = [name for name, dtype in dtypes.items() if _is_number(dtype) and not is_optimizer_state(name)]
            arrays = {name: np.asarray(reader.get_tensor(name)) for name in sorted(wanted)}
    except (tf.errors.OpError, IndexError, KeyError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(prefix, _KIND, error) from None
    return {name: _half_to_float32(array) for name, array in arrays.items()}


def variable_names(prefix: str | os.PathLike[str]) -> list[str]:
    """Returns the names of a checkpoint's variables, optimizer state and all.

    Raises:
        UserError: it cannot be read.
    """
    # Slow to import, and no other format needs it.
    import tensorflow as tf

    try:
        return list(tf.train.load_checkpoint(str(prefix)).get_variable_to_dtype_map())
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise damaged(prefix, _KIND, error) from None


def _check_files(prefix: Path) -> None:
    index = prefix.with_name(f"{prefix.name}.index")
    data = sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    total = re.search(r"-of-(\d{5})$", data[0].name) if data else None
    if not index.is_file() or total is None or len(data) < int(total[1]):
        raise UserError(
            f"{_KIND} {prefix} is not complete: it needs {index.name} and all of {prefix.name}.data-NNNNN-of-NNNNN "
            f"in one folder; found {[path.name for path in (index, *data) if path.is_file()]}."
        )


def _is_number(dtype: "tf.DType") -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def _half_to_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array
