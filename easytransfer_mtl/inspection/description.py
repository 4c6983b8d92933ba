"""Describes a folder of contest files: rows, labels, lengths, words."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.data.contest_files import DEV_PART, TOTAL, ContestFile, list_files
from easytransfer_mtl.data.features import RowEncoder
from easytransfer_mtl.data.strata import strata_of
from easytransfer_mtl.data.table_reader import TableContent, read_table, require_rows
from easytransfer_mtl.data.tag_units import units_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.inspection.characteristic_words import Word, characteristic_words
from easytransfer_mtl.inspection.label_description import LabelDescription, describe_labels, number_range
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.tasks import TAGS, Task

SEQUENCE_LENGTHS = (32, 64, 96, 128, 160, 256)
MOST_CUT = 0.01
"""Share of the train rows that the suggested sequence length cuts at most."""
TOGETHER = "together"
"""Stands for a column's name where both texts of a pair are measured together."""
BINS = 40


@dataclass(frozen=True)
class Lengths:
    """Lengths of a file's rows, in characters or in tokens."""

    mean: float
    median: float
    percentile_95: float
    percentile_99: float
    longest: int

    @classmethod
    def of(cls, lengths: np.ndarray) -> "Lengths":
        """Describes int [N], N > 0."""
        median, high, higher = (float(value) for value in np.percentile(lengths, [50, 95, 99]))
        return cls(float(lengths.mean()), median, high, higher, int(lengths.max()))


@dataclass(frozen=True)
class Tokens:
    """A file's rows in tokens, [CLS] and [SEP] included.

    Attributes:
        lengths: of the rows, uncut.
        cut: sequence length -> rows that are longer.
        unknown_share: share of [UNK].
    """

    lengths: Lengths
    cut: dict[int, int]
    unknown_share: float


@dataclass(frozen=True)
class FileDescription:
    """What is in a file.

    Attributes:
        file: path below the described folder.
        kind: see ``ContestFile``.
        rows: good rows, which all other numbers are about.
        bad_rows: rows that are left out.
        labels: see ``LabelDescription``; None without labels.
        characters: column -> lengths in characters; for pairs also ``TOGETHER``.
        tokens: None without a tokenizer.
        histogram: rows by characters (of both texts), in bins of the task's ``bin_width``; the last holds all longer rows.
    """

    file: str
    kind: str
    rows: int
    bad_rows: int
    labels: LabelDescription | None
    characters: dict[str, Lengths]
    tokens: Tokens | None
    histogram: list[int]

    def to_json(self) -> dict[str, Any]:
        """Returns the description as a JSON object: ``labels`` is label -> rows, beside what else there is of the type."""
        found = dataclasses.asdict(self)
        of_type = found["labels"] or {"rows": None}
        found["labels"] = of_type.pop("rows")
        return found | {name: value for name, value in of_type.items() if value is not None}


@dataclass(frozen=True)
class TaskDescription:
    """What is in a task's files.

    Attributes:
        task: the task.
        files: train, dev, tests.
        bin_width: of the files' histograms, in characters.
        number_range: of numbers, the ends of the histograms; else None.
        words_from: the file that ``words`` are of, or None without a labelled file.
        words: label -> its characteristic pieces of text; of numbers, range -> pieces, of tags, kind of entity -> pieces.
        words_of: what ``words`` sets apart: a label, a range, or a kind of entity.
        suggested_length: the smallest of ``SEQUENCE_LENGTHS`` that cuts at most ``MOST_CUT`` of the train rows, or None.
    """

    task: Task
    files: list[FileDescription]
    bin_width: int
    number_range: tuple[float, float] | None
    words_from: str | None
    words: dict[str, list[Word]]
    words_of: str
    suggested_length: int | None

    def to_json(self) -> dict[str, Any]:
        """Returns the description as a JSON object; the task by its name."""
        return {**dataclasses.asdict(self), "task": self.task.name, "files": [file.to_json() for file in self.files]}


def describe(
    folder: str | os.PathLike[str], tasks: tuple[Task, ...], header: bool = False, encoder: RowEncoder | None = None
) -> list[TaskDescription]:
    """Reads and describes all contest files in a folder, task by task.

    Args:
        folder: the folder; ``find_files`` says which files in it are read.
        tasks: the tasks; one without a file is left out.
        header: whether the first line of every file is a header.
        encoder: counts tokens; its sequence length cuts off none.

    Raises:
        UserError: the folder does not exist or holds no contest file, or a file cannot be read or has no good row.
    """
    files, _ = list_files(folder, tasks)
    if not files:
        raise UserError(f"{folder} has no contest file; `easytransfer_mtl check_data` says what is looked for.")
    wrong, found = [], []
    with progress_bar(len(files), "eda", " files") as bar:
        for task in tasks:
            contents = []
            for file in (file for file in files if file.task is task):
                try:
                    content = read_table(file.path, task, file.labelled, header)
                    require_rows(content)
                    contents.append((file, content))
                except UserError as error:
                    wrong.append(str(error))
                bar.update()
            if contents and not wrong:
                found.append(_describe_task(task, contents, Path(folder), encoder))
    if wrong:
        raise UserError("\n".join(wrong))
    return found


def _describe_task(
    task: Task, contents: Sequence[tuple[ContestFile, TableContent]], folder: Path, encoder: RowEncoder | None
) -> TaskDescription:
    lengths = [np.array([sum(map(len, row.texts)) for row in content.rows]) for _, content in contents]
    bin_width = max(1, -(-int(max(np.percentile(each, 99.5) for each in lengths)) // BINS))
    files, bounds = [], number_range(task, [content.rows for _, content in contents])
    for (file, content), each in zip(contents, lengths):
        characters = {
            column: Lengths.of(np.array([len(row.texts[place]) for row in content.rows]))
            for place, column in enumerate(filter(None, (task.first_sequence, task.second_sequence)))
        }
        if task.second_sequence:
            characters[TOGETHER] = Lengths.of(each)
        labels = describe_labels(task, content.rows, bounds) if file.labelled else None
        files.append(
            FileDescription(
                str(file.path.relative_to(folder)), file.kind, len(content.rows), len(content.bad_rows), labels, characters,
                _tokens(content, encoder) if encoder else None,
                np.bincount(np.minimum(each // bin_width, BINS - 1), minlength=BINS).tolist(),
            )
        )  # fmt: skip
    words_from, words, words_of = _words(task, contents, folder)
    return TaskDescription(task, files, bin_width, bounds, words_from, words, words_of, _suggested(files))


def _tokens(content: TableContent, encoder: RowEncoder) -> Tokens:
    unknown_id, unknown, lengths = encoder.tokenizer.vocabulary.unknown_id, 0, []
    task = content.task
    for row in content.rows:
        if task.type == TAGS:  # each character or word is tokenized by itself
            ids = encoder.encode_units(units_of(row.texts[0], task.unit)).features.input_ids
        else:
            ids = encoder.encode(row.texts).input_ids
        lengths.append(len(ids))
        unknown += ids.count(unknown_id)
    values = np.array(lengths)
    cut = {length: int((values > length).sum()) for length in SEQUENCE_LENGTHS}
    return Tokens(Lengths.of(values), cut, unknown / int(values.sum()))


def _words(
    task: Task, contents: Sequence[tuple[ContestFile, TableContent]], folder: Path
) -> tuple[str | None, dict[str, list[Word]], str]:
    by_kind = {file.kind: (file, content) for file, content in reversed(contents)}
    chosen = next((by_kind[kind] for kind in ("train", TOTAL, "dev", DEV_PART) if kind in by_kind), None)
    if chosen is None:
        return None, {}, ""
    file, content = chosen
    strata = strata_of(task, content.rows)
    found = characteristic_words(["\n".join(row.texts) for row in content.rows], strata.members)
    return str(file.path.relative_to(folder)), dict(zip(strata.names, found)), strata.what


def _suggested(files: Sequence[FileDescription]) -> int | None:
    train = next((file for file in files if file.kind in ("train", TOTAL) and file.tokens), None)
    if train is None or train.tokens is None:
        return None
    return next((length for length, rows in train.tokens.cut.items() if rows <= MOST_CUT * train.rows), None)
