"""A teacher's probabilities, kept beside the TFRecord of their rows, so that they are computed once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from easytransfer_mtl.files import replacing

ENDING = ".teacher.safetensors"
TENSOR, KEY = "probabilities", "made_from"
HEADER_BYTES = 1 << 20
"""Most bytes that such a file has beside its probabilities."""


@dataclass(frozen=True)
class TeacherFile:
    """The file of one TFRecord's probabilities.

    Attributes:
        path: the TFRecord's, with ``ENDING`` behind it.
        made_from: what the probabilities depend on; others are not used.
        shape: rows and labels; of tags tokens and labels.
        of_numbers: whether it holds numbers, which may be below 0, in place of probabilities.
    """

    path: Path
    made_from: dict[str, Any]
    shape: tuple[int, int]
    of_numbers: bool = False

    def read(self) -> tuple[np.ndarray | None, str]:
        """Returns the probabilities, float32 ``shape``; or None, and why the file cannot be used."""
        if not self.path.is_file():
            return None, "there is no such file yet"
        if self.path.stat().st_size > 4 * self.shape[0] * self.shape[1] + HEADER_BYTES:
            return None, "it is too large"
        try:
            with safe_open(str(self.path), framework="numpy") as file:
                written = json.loads((file.metadata() or {}).get(KEY, "null"))
                found = file.get_tensor(TENSOR) if written == self.made_from else None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            return None, f"it is damaged ({error})"
        if found is None:
            return None, "it is of another teacher or of other rows"
        fits = found.shape == self.shape and found.dtype == np.float32 and np.isfinite(found).all()
        fits = fits and (self.of_numbers or (found >= 0).all())
        return (found, "") if fits else (None, "it is damaged (no probabilities of these rows)")

    def write(self, probabilities: np.ndarray) -> None:
        """Writes probabilities, whole or not at all."""
        metadata = {KEY: json.dumps(self.made_from)}
        with replacing(self.path) as temporary:
            temporary.write_bytes(save({TENSOR: np.ascontiguousarray(probabilities)}, metadata))
