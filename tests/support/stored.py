"""Models on disk as runs leave them, with random weights instead of trained ones."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.evaluation.export import export_model
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.tasks import CONTEST_TASKS, Task


def encoder_of_other_ids(folder: Path, encoder_folder: Path) -> Path:
    """Writes a copy of an encoder's folder whose tokens have other ids and are one fewer."""
    shutil.copytree(encoder_folder, folder)
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").split()
    (folder / "vocab.txt").write_text("\n".join([*tokens[:5], *tokens[:5:-1]]) + "\n", encoding="utf-8")
    return folder


def store_model(
    folder: Path,
    encoder_folder: Path,
    seed: int,
    tasks: tuple[Task, ...] = CONTEST_TASKS,
    length: int = 16,
    about: dict[str, Any] | None = None,
    reads_texts: bool = False,
) -> RunFolder:
    """Writes a run's folder with one checkpoint, ``model.ckpt-3``, and the same weights in best/; returns it.

    Args:
        folder: the run's.
        encoder_folder: config and vocabulary.
        seed: of the weights.
        tasks: the model's.
        length: of its texts, in tokens.
        about: what export.json says of the weights.
        reads_texts: whether probabilities differ much between texts; random normalizations level them out.
    """
    files = find_encoder(str(encoder_folder))
    encoder = load_encoder(files, DropoutClock(0), random_init=True).encoder
    model, random = MultiTaskModel(encoder, tasks), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if reads_texts and "norm" in variable.name.lower():
            continue
        variable.assign(random.normal(size=variable.shape, scale=0.5).astype(np.float32))
    run, inputs = RunFolder(folder), {task.name: TaskInput(length, "none") for task in tasks}
    run.write_model(encoder.config, files.vocabulary, tasks, inputs)
    tf.train.Checkpoint(model=model).write(str(folder / "model.ckpt-3"))
    export_model(model, run, inputs, about or {})
    return run
