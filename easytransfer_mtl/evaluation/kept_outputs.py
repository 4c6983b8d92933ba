"""The outputs of the best weights that were scored during training, kept so that no row is computed again for the tables."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.files import replacing
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, TAGS

FILE = "evaluation/during_training.safetensors"
KEY = "made_from"
HEADER_BYTES = 1 << 20
"""Most bytes that the file has beside its numbers."""


def write_outputs(folder: Path, made_from: dict[str, Any], outputs: dict[str, HeadOutput]) -> None:
    """Writes task name -> outputs of its rows, whole or not at all.

    Args:
        folder: the run's folder.
        made_from: the weights and the rows, as JSON.
        outputs: task name -> outputs.
    """
    arrays = {}
    for name, output in outputs.items():
        arrays[f"{name}/predictions"] = np.ascontiguousarray(output.predictions)
        arrays[f"{name}/probabilities"] = np.ascontiguousarray(output.probabilities)
    with replacing(folder / FILE) as temporary:
        temporary.write_bytes(save(arrays, {KEY: json.dumps(made_from)}))


def read_outputs(folder: Path, made_from: dict[str, Any], data: list[TaskData]) -> dict[str, HeadOutput] | None:
    """Returns the outputs of the same weights and rows; None if there are none, which a damaged file counts as too."""
    path = folder / FILE
    numbers = sum(len(item.rows) * max(1, item.rows.most_units) * (1 + 2 * item.task.num_labels) for item in data)
    if not path.is_file() or path.stat().st_size > 4 * numbers + HEADER_BYTES:
        return None
    try:
        with safe_open(str(path), framework="numpy") as file:
            if json.loads((file.metadata() or {}).get(KEY, "null")) != made_from:
                return None
            found = {item.task.name: _output(file, item) for item in data}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logging.warning("%s is damaged (%s) and not used.", path, error)
        return None
    return found


def _output(file: Any, item: TaskData) -> HeadOutput:
    """Returns one task's outputs; raises ValueError if they are not of the task's rows and labels."""
    name, wanted = item.task.name, HeadOutput.empty(item.task, len(item.rows), item.rows.most_units)
    found = HeadOutput(*(file.get_tensor(f"{name}/{part}") for part in ("predictions", "probabilities")))
    if any((one.shape, one.dtype) != (other.shape, other.dtype) for one, other in zip(found, wanted, strict=True)):
        raise ValueError(f"outputs of {name} are not of {len(item.rows)} rows and {item.task.num_labels} labels")
    end = {CLASSIFY: item.task.num_labels, MULTI_LABEL: 2, TAGS: item.task.num_labels}.get(item.task.type, np.inf)
    is_label = end == np.inf or (found.predictions.min() >= 0 and found.predictions.max() < end)
    if not is_label or not all(np.isfinite(part).all() for part in found):
        raise ValueError(f"outputs of {name} are not labels and probabilities")
    return found
