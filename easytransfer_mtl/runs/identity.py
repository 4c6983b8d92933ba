"""Checks that a resumed run has the encoder, tasks, rows and other files that it was started with.

Changed settings are only logged, by name; a change behind an unchanged path can only be seen in the content.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.data.vocabulary_rules import warn_of_rules
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import CLASSIFY, Task

NOT_OF_THE_ENCODER = ("transformers_version", "_name_or_path", "architectures", "torch_dtype", "dtype")
"""Config keys that do not affect the computation."""
INPUT_FILES = ("dtp_kpi_file",)
"""Settings that name a file on which every step depends; other files matter only at the start, or are compared elsewhere."""


def rows_sha256(rows: EncodedRows) -> str:
    """Returns a hash of the rows, their order and their labels, independent of padding and of the files that hold them."""
    digest = hashlib.sha256()
    for array in rows.content:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def data_identity(
    settings: TrainSettings,
    train: list[TaskData],
    dev: list[TaskData],
    unlabelled: list[TaskData],
    teacher: Mapping[Path, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Returns the entry in train_config.json for a run's data, which ``check_same_data`` compares.

    Args:
        settings: the configuration.
        train: the training rows.
        dev: the dev rows.
        unlabelled: training rows without labels.
        teacher: TFRecord -> hash of what its teacher's probabilities depend on; empty without a teacher.
    """
    paths = {name: getattr(settings, name) for name in INPUT_FILES}
    taught = {path: {"teacher_sha256": digest} for path, digest in teacher.items()}

    def entries(data: list[TaskData]) -> list[dict[str, Any]]:
        return [{**item.summary(), "rows_sha256": rows_sha256(item.rows), **taught.get(item.file.path, {})} for item in data]

    return {
        "train": entries(train),
        **({"unlabelled": entries(unlabelled)} if unlabelled else {}),
        "dev": entries(dev),
        "files_sha256": {name: sha256_of(path) for name, path in paths.items() if path and Path(path).is_file()},
    }


def check_same_encoder(folder: RunFolder, files: EncoderFiles, config: PretrainedConfig) -> None:
    """Checks that the run in a folder uses the given encoder.

    Raises:
        UserError: the vocabulary or the config differs, even if the shapes of the weights are the same.
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


def check_same_architecture(folder: RunFolder, architecture: Architecture) -> None:
    """Raises UserError if the run in a folder has another architecture."""
    changes = architecture.changes_from(folder.written_architecture())
    if changes:
        raise UserError(
            f"{folder.path} is a run of another architecture ({'; '.join(changes)}). Use another --model_dir, or the "
            "settings that it was started with."
        )


def _type_and_labels(task: Task) -> tuple[Any, ...]:
    return (task.label_enumerate_values,) if task.type == CLASSIFY else (task.type, task.label_enumerate_values)


def check_same_tasks(folder: RunFolder, tasks: tuple[Task, ...]) -> None:
    """Raises UserError if the run in a folder has other tasks or labels, or another order of either."""
    before, _ = folder.read_tasks()
    old, new = ([(task.name, *_type_and_labels(task)) for task in group] for group in (before, tasks))
    if old != new:
        raise UserError(f"{folder.path} holds a run of the tasks {old}, not {new}. Use another --model_dir.")


def check_same_data(
    folder: RunFolder,
    settings: TrainSettings,
    train: list[TaskData],
    unlabelled: list[TaskData],
    positions: int | None,
    teacher: Mapping[Path, str] = MappingProxyType({}),
) -> None:
    """Checks that the run in a folder has the given training data, and the same files that its steps depend on.

    Entries that the version of the run did not record are not compared.

    Args:
        folder: the run's folder.
        settings: the configuration.
        train: the rows, in the order of the run's tasks.
        unlabelled: see ``data_identity``.
        positions: maximum number of tokens per row, see ``most_tokens``.
        teacher: see ``data_identity``.

    Raises:
        UserError: something differs.
    """
    before, now = folder.written_data(), data_identity(settings, train, [], unlabelled, teacher)
    changes = []
    for old, new in zip(before.get("train", []), now["train"]):
        changes += _changes(old, new, positions)
    changes += _changes_without_labels(before.get("unlabelled", []), now.get("unlabelled", []))
    for name, digest in before.get("files_sha256", {}).items():
        if now["files_sha256"].get(name, digest) != digest:
            changes.append(f"{name} {getattr(settings, name)} has another content")
    if changes:
        raise UserError(
            f"{folder.path} is a run on other data than this: {'; '.join(changes)}. Bring the old data back to go on, or "
            "train in another --model_dir. (evaluate and predict work with the run as it is.)"
        )


def _changes_without_labels(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    """Returns how the rows without labels differ from those that were recorded."""
    old, new = ({str(item.get("task")): item for item in items} for items in (before, now))
    changes = [f"{name}: its rows without labels are missing" for name in old if name not in new]
    changes += [f"{name}: rows without labels where there were none" for name in new if name not in old]
    for name in new:
        changes += _changes(old[name], new[name], None) if name in old else []
    return changes


def _changes(old: dict[str, Any], new: dict[str, Any], positions: int | None) -> list[str]:
    """Returns how a task's rows differ from those that were recorded."""
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
    if old.get("teacher_sha256") != new.get("teacher_sha256"):
        changes.append("another teacher (its models, their weights, or what they read), or one where there was none")
    return [f"{task} ({file}): {', '.join(changes)}"] if changes else []


def find_encoder_files(settings: TrainSettings | PretrainSettings) -> EncoderFiles:
    """Finds the encoder's files; a resumed run keeps its tokenizer and vocabulary rule. Warns if the rule matters.

    Raises:
        UserError: the files are not found, or the vocabulary is invalid.
    """
    name, zoo = settings.pretrain_model_name_or_path, settings.modelZooBasePath
    files = find_encoder(name, zoo, not settings.random_init, settings.vocabulary_rule, settings.tokenizer)
    if has_checkpoints(Path(settings.model_dir)):
        files = RunFolder(Path(settings.model_dir)).with_its_rule(files)
    if isinstance(files.vocabulary, Vocabulary):
        warn_of_rules(files.vocabulary, files.vocabulary_file)
    return files


def warn_of_changes(settings: TrainSettings | PretrainSettings) -> None:
    """Logs the differences from the settings that the folder's run was started with."""
    folder = RunFolder(Path(settings.model_dir))
    for change in folder.changed_settings(asdict(settings)):
        logging.warning("%s was started with another setting: %s", folder.path, change)
