"""The texts of a TFRecord's rows, from the CSV file that it was converted from."""

from pathlib import Path

import numpy as np

from easytransfer_mtl.data.contest_files import recognized_files
from easytransfer_mtl.data.encoded_rows import NO_LABEL, encoded_labels
from easytransfer_mtl.data.list_files import TaskFile
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.tasks import TAGS


def source_of(file: TaskFile, folder: str, setting: str) -> Path:
    """Finds the CSV file that a TFRecord was converted from, by its SHA-256 in the manifest.

    Looks at the task's contest files in ``folder``, at the file of the manifest's name there, and beside the TFRecord, where
    ``convert`` puts the parts of a train file that it split.

    Args:
        file: the TFRecord.
        folder: folder of contest files.
        setting: the flag that named the folder, for errors.

    Raises:
        UserError: the TFRecord has no manifest, or no file there has the recorded SHA-256.
    """
    manifest = file.manifest
    if manifest is None:
        raise UserError(f"{file.path} has no manifest, so its texts cannot be found in {folder}. Convert the data again.")
    beside, part = Path(manifest.source).name, file.task.file_name
    places = [*recognized_files(folder, file.task), Path(folder) / beside, file.path.parent / "split" / part / beside]
    there = [path for path in dict.fromkeys(places) if path.is_file()]
    for path in there:
        if sha256_of(path) == manifest.source_sha256:
            return path
    looked_at = listed([str(path) for path in there]) or "no file of the task"
    raise UserError(
        f"{setting} {folder}: {file.path} was converted from {manifest.source} (SHA-256 {manifest.source_sha256[:12]}), "
        f"which is not there; there is {looked_at}. Give the folder of the files that were converted, or convert again."
    )


def rows_of(file: TaskFile, source: Path, label_ids: np.ndarray) -> list[Row]:
    """Returns each row of a TFRecord as it stands in its source, in the order of the TFRecord: the source's good rows.

    A header needs no setting here: as a row without a valid label it is passed over like the bad rows that were skipped. In
    a file without labels it may look like a row; then there is one row too many.

    Args:
        file: the TFRecord.
        source: the result of ``source_of``, or for a TFRecord without manifest, which EasyTransfer wrote, a labelled file.
        label_ids: of the TFRecord's rows, int [N]; ``NO_LABEL`` without labels.

    Raises:
        UserError: the source's good rows are not the TFRecord's, by their number or by their labels.
    """
    task, labelled = (file.manifest.task, file.manifest.labelled) if file.manifest else (file.task, True)
    rows = read_table(source, task, labelled).rows
    if not labelled and len(rows) == len(label_ids) + 1:
        del rows[0]
    if task.type == TAGS:  # a TFRecord has no tags of spaces and of what is behind the cut
        fits = len(rows) == len(label_ids)
    else:
        wanted = encoded_labels(task, [str(row.label) for row in rows]) if labelled else np.full(len(rows), NO_LABEL)
        fits = np.array_equal(wanted, label_ids if labelled else label_ids.reshape(len(label_ids), -1)[:, 0])
    if not fits:
        why = ", though the manifest says that one was made from the other" if file.manifest else ""
        raise UserError(
            f"{source} has {len(rows):,} good rows, {file.path} {len(label_ids):,}, or their labels differ{why}. Convert "
            "the data again."
        )
    return rows


def texts_of(file: TaskFile, source: Path, label_ids: np.ndarray) -> list[tuple[str, ...]]:
    """Returns each row's texts in the order of the TFRecord; arguments and errors as in ``rows_of``."""
    return [row.texts for row in rows_of(file, source, label_ids)]
