"""Whether what is to go on in a folder is the run that began there: its encoder, its tasks, its rows and its other files.

Settings are compared by name and warned of; what lies behind an unchanged path can only be told by its content.
"""

import hashlib
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.vocabulary_rules import warn_of_rules
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import Task

NOT_OF_THE_ENCODER = ("transformers_version", "_name_or_path", "architectures", "torch_dtype", "dtype")
"""Keys of a config that say nothing of what is computed."""
INPUT_FILES = ("dtp_kpi_file",)
"""Settings that name a file which every step depends on; others are of the start only, or are compared by themselves."""


def rows_sha256(rows: EncodedRows) -> str:
    """Returns a hash of rows, their order and their labels, whatever length they were padded to and whatever file held
    them."""
    digest = hashlib.sha256()
    for array in (rows.input_ids, rows.segment_ids, rows.offsets, rows.label_ids):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def data_identity(settings: TrainSettings, train: list[TaskData], dev: list[TaskData]) -> dict[str, Any]:
    """Returns what train_config.json says of a run's data, by which ``check_same_data`` knows it again."""
    paths = {name: getattr(settings, name) for name in INPUT_FILES}
    return {
        "train": [{**item.summary(), "rows_sha256": rows_sha256(item.rows)} for item in train],
        "dev": [{**item.summary(), "rows_sha256": rows_sha256(item.rows)} for item in dev],
        "files_sha256": {name: sha256_of(path) for name, path in paths.items() if path and Path(path).is_file()},
    }


def check_same_encoder(folder: RunFolder, files: EncoderFiles, config: PretrainedConfig) -> None:
    """Checks that the run in a folder is of an encoder.

    Raises:
        UserError: it has another vocabulary, or another config, whatever the shapes of its weights are.
    """
    folder.check_same_vocabulary(files)
    before, now = load_config(folder.encoder_files).to_dict(), config.to_dict()
    names = sorted({*before, *now}.difference(NOT_OF_THE_ENCODER))
    changed = [f"{key}: {before.get(key)!r} -> {now.get(key)!r}" for key in names if before.get(key) != now.get(key)]
    if changed:
        raise UserError(
            f"{folder.path} holds a run of an encoder with another config ({'; '.join(changed)}). Bring the encoder's "
            "config back, or use another --model_dir."
        )


def check_same_tasks(folder: RunFolder, tasks: tuple[Task, ...]) -> None:
    """Raises UserError if the run in a folder has other tasks or labels, or either in another order."""
    before, _ = folder.read_tasks()
    old, new = ([(task.name, task.label_enumerate_values) for task in group] for group in (before, tasks))
    if old != new:
        raise UserError(f"{folder.path} holds a run of the tasks {old}, not {new}. Use another --model_dir.")


def check_same_data(folder: RunFolder, settings: TrainSettings, train: list[TaskData], positions: int | None) -> None:
    """Checks that the run in a folder is on training data, and on the files that its steps depend on.

    A run of a version that did not note something is not compared in it.

    Args:
        folder: the run's.
        settings: the configuration.
        train: the rows, in the order of the run's tasks.
        positions: most tokens of a row, see ``kinds.most_tokens``.

    Raises:
        UserError: they are others.
    """
    before, now = folder.written_data(), data_identity(settings, train, [])
    changes = []
    for old, new in zip(before.get("train", []), now["train"]):
        changes += _changes(old, new, positions)
    for name, digest in before.get("files_sha256", {}).items():
        if now["files_sha256"].get(name, digest) != digest:
            changes.append(f"{name} {getattr(settings, name)} has another content")
    if changes:
        raise UserError(
            f"{folder.path} is a run on other data than this: {'; '.join(changes)}. Bring the old data back to go on, or "
            "train in another --model_dir. (evaluate and predict work with the run as it is.)"
        )


def _changes(old: dict[str, Any], new: dict[str, Any], positions: int | None) -> list[str]:
    """Returns in what a task's rows are others than those that were noted."""
    task, file = new["task"], new["file"]
    known = {name: old[name] for name in ("rows", "sequence_length", "text_normalization") if name in old}
    if positions and "sequence_length" in known and "rows_sha256" not in old:
        known["sequence_length"] = min(known["sequence_length"], positions)
    changes = [f"{name} was {value}, is {new[name]} now" for name, value in known.items() if new[name] != value]
    for name in ("rows_sha256", "source_sha256"):
        if old.get(name) and new[name]:
            if not changes and old[name] != new[name]:
                changes.append("other rows, labels, or another order of them")
            break
    return [f"{task} ({file}): {', '.join(changes)}"] if changes else []


def find_encoder_files(settings: TrainSettings | PretrainSettings) -> EncoderFiles:
    """Finds the encoder's files, its vocabulary read as by the run that goes on, if one does; warns if that matters.

    Raises:
        UserError: they are not found, or the vocabulary is none.
    """
    name, zoo = settings.pretrain_model_name_or_path, settings.modelZooBasePath
    files = find_encoder(name, zoo, not settings.random_init, settings.vocabulary_rule)
    if has_checkpoints(Path(settings.model_dir)):
        files = RunFolder(Path(settings.model_dir)).with_its_rule(files)
    warn_of_rules(files.vocabulary, files.vocabulary_file)
    return files


def warn_of_changes(settings: TrainSettings | PretrainSettings) -> None:
    """Names in the log what differs from the settings that the folder's run was started with."""
    folder = RunFolder(Path(settings.model_dir))
    for change in folder.changed_settings(asdict(settings)):
        logging.warning("%s was started with another setting: %s", folder.path, change)
