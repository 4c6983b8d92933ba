"""PyTorch's view of exported folders, from a process of its own: the tests' process has transformers' TensorFlow classes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "pytorch_outputs.py"
PYTHON = os.environ.get("PYTORCH_PYTHON")
"""A Python with torch and transformers, if they are not where the tests run."""


def need_pytorch() -> None:
    """Skips a test if there is no PyTorch."""
    if not PYTHON and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed, and PYTORCH_PYTHON names no Python that has it")


def pytorch_outputs(class_name: str, rows: dict[Path, Any]) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Returns for each folder what loading told and the outputs by name.

    Args:
        class_name: transformers' class, for instance ``AutoModel``.
        rows: folder -> input_ids, input_mask, segment_ids, [B, S] each.
    """
    for folder, values in rows.items():
        names = ("input_ids", "attention_mask", "token_type_ids")
        np.savez(folder / "inputs.npz", **{name: np.asarray(value) for name, value in zip(names, values, strict=True)})
    command = [PYTHON or sys.executable, str(SCRIPT), class_name, *map(str, rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outputs = []
    for folder in rows:
        with np.load(folder / "outputs.npz") as values:
            outputs.append(dict(values))
    return list(zip(told, outputs, strict=True))
