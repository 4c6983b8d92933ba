"""Reads a run's TFRecord files and checks them against the model."""

import logging
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.list_files import TaskFile, check_vocabulary, task_files
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tfrecords import padded_length_of, read_tfrecords
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.tasks import Task


@dataclass(frozen=True)
class TaskData:
    """One task's rows, their file, and the maximum number of tokens per row."""

    file: TaskFile
    rows: EncodedRows
    padded_length: int

    @property
    def task(self) -> Task:
        """The task."""
        return self.file.task

    @property
    def task_input(self) -> TaskInput:
        """How the rows were encoded; a file without manifest counts as not normalized."""
        manifest = self.file.manifest
        return TaskInput(self.padded_length, manifest.text_normalization if manifest else "none")

    def summary(self) -> dict[str, object]:
        """The file's entry in train_config.json."""
        manifest = self.file.manifest
        return {
            "task": self.task.name,
            "file": self.file.path.name,
            "rows": len(self.rows),
            "sequence_length": self.padded_length,
            "text_normalization": self.task_input.text_normalization,
            "source_sha256": manifest.source_sha256 if manifest else None,
        }


def read_task_data(
    path: str, tasks: tuple[Task, ...], vocabulary: AnyVocabulary, vocabulary_source: Path, positions: int | None
) -> list[TaskData]:
    """Reads the files of a list, in its order.

    Args:
        path: a list file or one TFRecord file.
        tasks: the tasks that may occur.
        vocabulary: the model's vocabulary.
        vocabulary_source: its file, for error messages.
        positions: maximum number of tokens per row, see ``most_tokens``; None for no limit. It replaces the sequence length
            of files that were converted for longer rows.

    Raises:
        UserError: a file is missing or damaged, made for another vocabulary or label map, unlabelled, or too long.
    """
    files = task_files(path, tasks)
    for file in files:
        check_vocabulary(file, vocabulary, str(vocabulary_source))
        if file.manifest and not file.manifest.labelled:
            raise UserError(f"{file.path} has no labels: it cannot be trained on or evaluated.")
    result = []
    for file in files:
        rows = read_tfrecords(file.path, file.task.num_labels, len(vocabulary))
        if positions and len(rows) and int(rows.lengths.max()) > positions:
            raise UserError(
                f"{file.path} has rows of {int(rows.lengths.max())} tokens; the encoder's config allows {positions} "
                f"(max_position_embeddings). Convert with --sequence_length={positions} or less."
            )
        length = padded_length_of(file.path)
        if positions and length > positions:
            logging.warning(
                "%s was converted for rows of up to %d tokens; the encoder takes %d, and longer texts will be cut there.",
                file.path, length, positions,
            )  # fmt: skip
            length = positions
        result.append(TaskData(file, rows, length))
    return result


def check_training_data(data: list[TaskData], path: str) -> None:
    """Raises UserError if a task has no rows, or the files differ in text normalization."""
    empty = [item.file.path for item in data if not len(item.rows)]
    if empty:
        raise UserError(f"{path}: {', '.join(map(str, empty))} has no rows; take it out of the list or convert it again.")
    kinds = {item.task.name: item.task_input.text_normalization for item in data}
    if len(set(kinds.values())) > 1:
        raise UserError(f"{path}: the files differ in text_normalization ({kinds}); convert them alike.")


def check_dev_data(data: list[TaskData], inputs: dict[str, TaskInput]) -> None:
    """Checks dev files against the encoding of the training texts.

    Args:
        data: the dev files.
        inputs: task name -> how its training rows were encoded.

    Raises:
        UserError: a file has no rows, or its manifest has another text normalization.
    """
    for item in data:
        if not len(item.rows):
            raise UserError(f"{item.file.path} has no rows to evaluate on; take it out of the list or convert it again.")
        trained = inputs[item.task.name].text_normalization
        if item.file.manifest and item.file.manifest.text_normalization != trained:
            raise UserError(
                f"{item.file.path} was converted with text_normalization {item.file.manifest.text_normalization}, the "
                f"training rows of {item.task.name} with {trained}. Convert them alike."
            )


def check_segments(data: list[TaskData], architecture: Architecture, reads_types: bool = False) -> None:
    """Checks that rows of pair tasks say where the second text starts, if anything depends on it.

    Args:
        data: training or dev rows.
        architecture: the model's.
        reads_types: whether the encoder tells texts apart by token types; then rows without second texts are a warning.

    Raises:
        UserError: the segment ids of a pair task are 0 in all rows of a file, and a part of its feature reads them.
    """
    for item in data:
        if item.task.second_sequence is None or not len(item.rows) or item.rows.segment_ids.any():
            continue
        what = f"{item.file.path}: segment_ids are 0 in all {len(item.rows):,} rows of the pair task {item.task.name}"
        feature = architecture.spec_of(item.task).feature
        parts = [part.text for part in feature.parts if part.reads_segments]
        if parts:
            raise UserError(
                f"{what}, so the second text cannot be told from the first, which features {item.task.name.lower()}="
                f"{feature.text} does ({', '.join(parts)}). Convert the task's texts again, or read something else, for "
                "instance mean."
            )
        if reads_types:
            logging.warning(
                "%s: the encoder sees one text, while predict and submit give the second one token type 1. Convert the "
                "task's texts again.",
                what,
            )
