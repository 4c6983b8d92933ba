"""Reads a run's TFRecord files and checks them against the model."""

import itertools
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.encoded_rows import NO_LABEL, EncodedRows, concatenate
from easytransfer_mtl.data.list_files import TaskFile, check_vocabulary, task_files
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tfrecords import padded_length_of, read_tfrecords
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.tasks import TAGS, Task


@dataclass(frozen=True)
class TaskData:
    """One task's rows, their file, and the maximum number of tokens per row.

    Attributes:
        file: the file.
        rows: N rows.
        padded_length: maximum number of tokens per row.
        numbers: numbers of the rows in the file, from 0, int [N]; None for 0 to N - 1.
    """

    file: TaskFile
    rows: EncodedRows
    padded_length: int
    numbers: np.ndarray | None = None

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
    path: str,
    tasks: tuple[Task, ...],
    vocabulary: AnyVocabulary,
    vocabulary_source: Path,
    positions: int | None,
    labelled: bool = True,
) -> list[TaskData]:
    """Reads the files of a list, in its order.

    Args:
        path: a list file or one TFRecord file.
        tasks: the tasks that may occur.
        vocabulary: the model's vocabulary.
        vocabulary_source: its file, for error messages.
        positions: maximum number of tokens per row, see ``most_tokens``; None for no limit. It replaces the sequence length
            of files that were converted for longer rows.
        labelled: whether the rows must have labels; otherwise they must have none, and get ``NO_LABEL``.

    Raises:
        UserError: a file is missing or damaged, made for another vocabulary or label map, or too long, or its rows have no
            labels, or have some where they must not.
    """
    files = task_files(path, tasks)
    for file in files:
        check_vocabulary(file, vocabulary, str(vocabulary_source))
        if not labelled:
            _check_unlabelled(file)
        elif file.manifest and not file.manifest.labelled:
            raise UserError(f"{file.path} has no labels: it cannot be trained on or evaluated.")
    result = []
    for file in files:
        rows = read_tfrecords(file.path, file.task.num_labels, len(vocabulary), file.task.type)
        if not labelled:
            rows = replace(rows, label_ids=np.full_like(rows.label_ids, NO_LABEL))
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


def _check_unlabelled(file: TaskFile) -> None:
    """Raises UserError unless a file's manifest says that its rows have no labels.

    Labels are not left aside: a labelled file here is a mistake, be it training rows, whose labels would be lost, or the dev
    rows, which the scores are taken on.
    """
    if file.manifest is None:
        raise UserError(
            f"{file.path} has no manifest, so nothing says that its rows are without labels. Convert them with "
            "--labelled=false."
        )
    if file.manifest.labelled:
        raise UserError(
            f"{file.path} has labels, where rows without labels are wanted. Training rows belong in --train_input_fp, dev "
            "rows are not for training; convert a file without labels with --labelled=false."
        )
    if file.task.type == TAGS:
        raise UserError(
            f"{file.path} has no tags, and {file.task.name} is of the type {TAGS}: such a file does not say which tokens "
            f"begin a {file.task.unit}, so what a teacher says of them has no place. Leave it out."
        )


def check_unlabelled_data(data: list[TaskData], inputs: dict[str, TaskInput]) -> None:
    """Checks files without labels against the encoding of the training texts.

    Args:
        data: the files, of tasks that are trained.
        inputs: task name -> how its training rows were encoded.

    Raises:
        UserError: a file has no rows, or another length or text normalization than its task's training rows.
    """
    for item in data:
        if not len(item.rows):
            raise UserError(f"{item.file.path} has no rows; take it out of the list or convert it again.")
        trained, found = inputs[item.task.name], item.task_input
        if found != trained:
            raise UserError(
                f"{item.file.path} was converted with sequence_length {found.sequence_length} and text_normalization "
                f"{found.text_normalization}, the training rows of {item.task.name} with {trained.sequence_length} and "
                f"{trained.text_normalization}. Convert them alike."
            )


def warn_of_dev_texts(unlabelled: list[TaskData], dev: list[TaskData]) -> None:
    """Warns if dev rows are among the rows without labels, since what a teacher says of them is learned then."""
    texts = {item.task.name: set(_texts(item.rows)) for item in unlabelled}
    for item in dev:
        shared = sum(text in texts.get(item.task.name, ()) for text in _texts(item.rows))
        if shared:
            logging.warning(
                "%s: the texts of %d of its %d rows are among the rows without labels: the dev score will be nearer to the "
                "teacher's than that of new texts.",
                item.file.path, shared, len(item.rows),
            )  # fmt: skip


def _texts(rows: EncodedRows) -> list[bytes]:
    places = itertools.pairwise(rows.offsets.tolist())
    return [rows.input_ids[start:end].tobytes() + rows.segment_ids[start:end].tobytes() for start, end in places]


def with_unlabelled(train: list[TaskData], unlabelled: list[TaskData]) -> list[TaskData]:
    """Returns the training data with each task's rows without labels, if it has any, behind its own."""
    more = {item.task.name: item.rows for item in unlabelled}
    return [
        replace(item, rows=concatenate([item.rows, more[item.task.name]]), numbers=None) if item.task.name in more else item
        for item in train
    ]


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
        data: training rows, also without labels, or dev rows.
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
