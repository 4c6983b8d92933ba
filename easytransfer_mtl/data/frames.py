"""Tables in memory: a DataFrame of pandas or polars, or a list of dictionaries, as rows and as a file."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.data.named_columns import Wanted, require_columns, row_of
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.table_form import JSON_ENDINGS
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import replacing
from easytransfer_mtl.tasks import Task

MISSING = ("NAType", "NaTType")
"""Names of the types of pandas' missing values."""


def is_table(value: Any) -> bool:
    """Returns whether a value has named columns, as DataFrames do."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def save_table(table: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a table as JSON lines, which every command reads: ``save_table(frame, "data/REVIEW_train.jsonl")``.

    Args:
        table: a DataFrame of pandas or polars, whose index is left out, or a list of dictionaries. Values are texts,
            numbers, true or false, missing, or lists of these.
        path: the file, ending with .jsonl.

    Returns:
        The path.

    Raises:
        UserError: the path has another ending, or there is no row, no name of a column that is text, or a value of another
            kind; nothing is written then.
    """
    path = Path(path)
    if path.suffix.lower() not in JSON_ENDINGS:
        raise UserError(f"{path}: a table is written as JSON lines; let the file's name end with .jsonl.")
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        number = -1
        for number, record in enumerate(_records(table, str(path))):
            values = {name: _plain(value, f"{path}: row {number}, column {shown(name)}") for name, value in record.items()}
            stream.write(json.dumps(values, ensure_ascii=False) + "\n")
        if number < 0:
            raise UserError(f"{path}: the table has no row.")
    return path


def rows_of_table(table: Any, task: Task) -> list[Row]:
    """Returns the rows of a table without labels, see ``is_table``; columns are found as in files.

    Raises:
        UserError: a column is missing, or a text or an id is none.
    """
    where = f"{task.name}: the table"
    names = _names(table, where)
    columns = require_columns(names, Wanted(task, labelled=False), where, "columns")
    rows = []
    for number, record in enumerate(_records(table, where)):
        values = {name: _plain(record[name], where) for name in (*columns.texts, columns.row_id) if name is not None}
        parsed = row_of(values, columns, task, number)
        if isinstance(parsed, Problem):
            raise UserError(f"{where}, row {number} (from 0): {parsed.reason}.")
        rows.append(parsed)
    return rows


def _names(table: Any, where: str) -> list[str]:
    names = list(table.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        each = listed([shown(name) for name in names])
        raise UserError(f"{where}: its columns are {each}; each needs a name of its own, a text.")
    return names


def _records(table: Any, where: str) -> Iterator[Mapping[str, Any]]:
    if is_table(table):
        names = _names(table, where)
        for values in zip(*(table[name] for name in names), strict=True):
            yield dict(zip(names, values, strict=True))
        return
    if isinstance(table, (str, bytes, Mapping)) or not isinstance(table, Iterable):
        raise UserError(f"{where}: found {shown(table)}; give a DataFrame or a list of dictionaries.")
    for number, record in enumerate(table):
        if not isinstance(record, Mapping) or not all(isinstance(name, str) for name in record):
            raise UserError(f"{where}: row {number} (from 0) is {shown(record)}; it must be a dictionary of columns.")
        yield record


def _plain(value: Any, where: str) -> Any:
    """Returns a value as JSON knows it."""
    for name in ("tolist", "to_list"):  # NumPy's scalars and arrays, polars' lists
        if hasattr(value, name):
            value = getattr(value, name)()
    if value is None or type(value).__name__ in MISSING or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (list, tuple)):
        return [_plain(each, where) for each in value]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError(f"{where}: {shown(value)} holds half of a character (a lone surrogate).") from None
        return str(value)
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise UserError(f"{where}: {shown(value)} (of type {type(value).__name__}) is no text, number or list of them.")
