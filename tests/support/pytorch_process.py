"""PyTorch's view of exported folders, from a process of its own: the tests' process has transformers' TensorFlow classes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = Path(__file__).parent / "pytorch_outputs.py"


def pytorch_outputs(class_name: str, rows: dict[Path, Any]) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Returns for each folder what loading told and the outputs by name.

    Args:
        class_name: transformers' class, for instance ``AutoModel``.
        rows: folder -> input_ids, input_mask, segment_ids, [B, S] each.
    """
    for folder, values in rows.items():
        names = ("input_ids", "attention_mask", "token_type_ids")
        np.savez(folder / "inputs.npz", **{name: np.asarray(value) for name, value in zip(names, values, strict=True)})
    command = [sys.executable, str(SCRIPT), class_name, *map(str, rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outputs = []
    for folder in rows:
        with np.load(folder / "outputs.npz") as values:
            outputs.append(dict(values))
    return list(zip(told, outputs, strict=True))
