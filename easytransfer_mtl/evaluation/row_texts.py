"""Ids and texts of scored rows: from the contest file, or as far as the TFRecord tells them."""

from collections.abc import Mapping
from pathlib import Path

from easytransfer_mtl.data.contest_files import require_dev_files
from easytransfer_mtl.data.decoding import decode_rows, decode_units
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.source_texts import rows_of, source_of
from easytransfer_mtl.data.table_reader import TableContent
from easytransfer_mtl.evaluation.row_table import RowTexts
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import TAGS


def texts_of_records(item: TaskData, vocabulary: AnyVocabulary) -> RowTexts:
    """Decodes the texts of TFRecord rows, whose ids are their numbers; of rows with tags one unit for each tag."""
    numbers = range(len(item.rows)) if item.numbers is None else item.numbers.tolist()
    texts: list[tuple[str, ...]]
    if item.task.type == TAGS:
        texts = [*decode_units(item.rows, vocabulary, item.task.unit)]
    else:
        texts = decode_rows(item.rows, vocabulary, item.task.second_sequence is not None)
    manifest = item.file.manifest
    return RowTexts([*map(str, numbers)], texts, False, item.file.path.name, manifest.source_sha256 if manifest else None)


def texts_of_csv(content: TableContent) -> RowTexts:
    """Takes ids and texts of a contest file's rows."""
    return _of_rows(content.rows, content.path)


def find_texts(data: list[TaskData], data_dir: str) -> dict[str, RowTexts]:
    """Finds the contest files that TFRecords were converted from: by their hash, or by name for files without manifest.

    Args:
        data: all rows of each TFRecord.
        data_dir: folder of contest files.

    Returns:
        Task name -> ids and texts.

    Raises:
        UserError: a file is not there, or its good rows are not the TFRecord's.
    """
    found = {}
    for item in data:
        by_name = item.file.manifest is None
        name = item.task.name
        source = require_dev_files(data_dir, (item.task,))[name] if by_name else source_of(item.file, data_dir, "--data_dir")
        found[name] = _of_rows(rows_of(item.file, source, item.rows.label_ids), source)
    return found


def _of_rows(rows: list[Row], path: Path) -> RowTexts:
    return RowTexts([row.row_id for row in rows], [row.texts for row in rows], True, path.name, sha256_of(path))


def texts_of(item: TaskData, found: Mapping[str, RowTexts], vocabulary: AnyVocabulary) -> RowTexts:
    """Returns the texts that were found in a task's contest file, else decoded ones."""
    return found[item.task.name] if item.task.name in found else texts_of_records(item, vocabulary)
