"""Writes the contest's prediction files and packs them."""

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing, write_text
from easytransfer_mtl.tasks import Task

RESULT_NAME = "result.zip"
"""The archive's name in the contest's Docker image; participants report that ``submit.zip`` is not recognised there."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE_MODE = 0o100644


def write_predictions(path: str | os.PathLike[str], ids: Sequence[str], labels: Sequence[str]) -> None:
    """Writes one ``{"id": "0", "label": "1"}`` per line, in ASCII with LF line ends, whole or not at all.

    Args:
        path: the file, named by the task's ``submission_file``.
        ids: [N] the unchanged ids of the test file, in its order.
        labels: [N] the predicted labels, not label ids.

    Raises:
        UserError: the lengths differ, or an id or a label is not a string.
    """
    if len(ids) != len(labels):
        raise UserError(f"{path}: {len(ids)} ids but {len(labels)} labels; give one label for each id.")
    for what, values in (("id", ids), ("label", labels)):
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise UserError(
                    f"{path}: {what} {value!r} of row {row} (counted from 0) is of type {type(value).__name__}; the contest "
                    "wants strings. Take ids from the test file as they stand, and label names instead of label ids."
                )
    lines = (json.dumps({"id": id_, "label": label}) + "\n" for id_, label in zip(ids, labels, strict=True))
    write_text(path, "".join(lines))


def package(folder: str | os.PathLike[str], tasks: Sequence[Task], zip_name: str = RESULT_NAME) -> Path:
    """Packs the tasks' prediction files of ``folder``, and nothing else, at the root of ``folder/zip_name``.

    Times, modes and order are fixed, so equal predictions give equal archives. The archive is written whole or not at all.

    Returns:
        The archive's path.

    Raises:
        UserError: prediction files are missing; names all of them.
    """
    folder = Path(folder)
    names = sorted(task.submission_file for task in tasks)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder}: nothing packed, {', '.join(missing)} missing. Predict all tasks into this folder.")
    with replacing(folder / zip_name) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.create_system = _UNIX
            entry.external_attr = _PLAIN_FILE_MODE << 16
            archive.writestr(entry, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return folder / zip_name
