"""Scores of several models and of their average on dev files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.contest_files import require_dev_files
from easytransfer_mtl.data.encoded_rows import EncodedRows, encoded_labels
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.table_reader import TableContent, check_rows, read_table, require_rows
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import average, one_at_a_time
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.inference import HeadOutput, Inference
from easytransfer_mtl.evaluation.member_weights import TaskWeights
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.evaluation.model_scores import ModelScores
from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, task_rows
from easytransfer_mtl.evaluation.row_texts import texts_of_csv, texts_of_records
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike
from easytransfer_mtl.evaluation.text_encoder import TextEncoder
from easytransfer_mtl.runs.task_data import TaskData, check_dev_data, check_segments, read_task_data
from easytransfer_mtl.tasks import Task


@dataclass(frozen=True)
class DevRows:
    """One task's dev rows.

    Attributes:
        task: the task.
        files: the files that they come from.
        label_ids: see ``EncodedRows.targets``.
        encoded: returns the rows as a model reads them.
        texts: returns the rows' ids and texts.
    """

    task: Task
    files: tuple[Path, ...]
    label_ids: np.ndarray
    encoded: Callable[[StoredModel], EncodedRows]
    texts: Callable[[], RowTexts]


def read_dev_texts(data_dir: str, members: list[StoredModel], header: bool = False) -> list[DevRows]:
    """Reads a folder's dev files, which every model encodes for itself; their tokenizers may differ.

    Args:
        data_dir: folder of contest files, or the folder split/ of a conversion that made dev rows of a train file's end.
        members: the models.
        header: whether the first line of the files is a header.

    Raises:
        UserError: the models differ in tasks, labels or text normalization, a task has no dev file, or a file has bad rows.
    """
    tasks = check_alike(members)
    found = require_dev_files(data_dir, tasks)
    contents = [read_table(found[task.name], task, labelled=True, header=header) for task in tasks]
    for content in contents:
        check_rows(content)
        require_rows(content)
    return [_of_texts(content) for content in contents]


def _of_texts(content: TableContent) -> DevRows:
    task, texts = content.task, [row.texts for row in content.rows]
    label_ids = encoded_labels(task, [str(row.label) for row in content.rows])
    return DevRows(
        task,
        (content.path,),
        label_ids,
        lambda member: TextEncoder(member).encode(task, texts),
        lambda: texts_of_csv(content),
    )


def _of_records(item: TaskData, vocabulary: AnyVocabulary) -> DevRows:
    files = (item.file.path, manifest_path(item.file.path))
    return DevRows(item.task, files, item.rows.targets, lambda member: item.rows, lambda: texts_of_records(item, vocabulary))


def read_dev_data(path: str, members: list[StoredModel]) -> list[DevRows]:
    """Reads dev files for scoring all models.

    TFRecords hold token ids, so the models must have the same vocabulary.

    Args:
        path: a list file or one TFRecord file.
        members: the models.

    Raises:
        UserError: the models differ, or a file does not fit them.
    """
    tasks, inputs = check_alike(members), members[0].folder.read_tasks()[1]
    files = [member.folder.encoder_files for member in members]
    vocabularies = [item.vocabulary for item in files]
    for member, vocabulary in zip(members, vocabularies):
        if vocabulary.sha256 != vocabularies[0].sha256:
            raise UserError(
                f"{member.name} has another vocabulary than {members[0].name}; TFRecords hold the token ids of one, so "
                "these models cannot be scored on the same files. Give the contest files instead (--data_dir, without "
                "--predict_input_fp), which every model reads with its own."
            )
    limits = [most_tokens(load_config(item).to_dict()) for item in files]
    positions = min((limit for limit in limits if limit), default=None)
    data = read_task_data(path, tasks, vocabularies[0], files[0].vocabulary_file, positions)
    check_dev_data(data, inputs)
    for member in members:
        check_segments(data, member.folder.read_architecture())
    return [_of_records(item, vocabularies[0]) for item in data]


def score_ensemble(
    members: list[StoredModel],
    data: list[DevRows],
    options: EvaluationOptions,
    model_class: ModelClass = AS_STORED,
    weights: TaskWeights | None = None,
) -> ModelScores:
    """Scores every model and their average; one model at a time is in memory.

    Args:
        members: the models.
        data: the result of ``read_dev_data`` or ``read_dev_texts``.
        options: batch size, labels that macro-F1 averages over, and precision; the other options apply to runs only.
        model_class: the class the models were trained with, and whether user-defined code may be imported.
        weights: the result of ``member_weights``; None for equal ones.
    """
    outputs: dict[str, list[HeadOutput]] = {}
    for member in one_at_a_time(members):
        inference = Inference(member.load(model_class), options.batch_size, options.precision)
        outputs[member.name] = [
            inference.outputs(item.encoded(member), [item.task.name], f"evaluate {item.task.name}")[item.task.name]
            for item in data
        ]
        del inference
    together: list[HeadOutput] = []
    for place, item in enumerate(data):
        parts = [found[place] for found in outputs.values()]
        shares = (weights or {}).get(item.task.name)
        together.append(average(item.task, parts, shares))
    texts = [item.texts() for item in data]

    def table(name: str, found: Sequence[HeadOutput]) -> RowTable:
        rows = [task_rows(item.task, about, item.label_ids, *output) for item, about, output in zip(data, texts, found)]
        return RowTable(name, options.f1_labels, rows)

    return ModelScores.of([table(name, found) for name, found in outputs.items()], table("average", together))
