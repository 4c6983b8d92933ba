"""Reads the distinct texts in a folder of contest files, and holds out a part of them."""

import os
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.data.contest_files import NAMES, find_files
from easytransfer_mtl.data.table_reader import check_rows, read_table, require_rows
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.tasks import Task

LABELLED = ("train", "dev")

Text = tuple[str, ...]
"""One text, or both texts of a pair."""


@dataclass(frozen=True)
class Source:
    """A file and its texts.

    Attributes:
        task: name of the task.
        kind: train, dev, or the board of an unlabelled file.
        rows: number of rows.
        texts: the texts that no earlier file has, without labels.
    """

    task: str
    kind: str
    path: Path
    rows: int
    texts: list[Text]


def read_texts(folder: str | os.PathLike[str], tasks: tuple[Task, ...], header: bool = False) -> list[Source]:
    """Reads all files of the tasks in a folder: train files, then dev files, then the files of every board.

    Rows without any text are skipped.

    Args:
        folder: holds contest files with the names in ``contest_files.NAMES``.
        tasks: the tasks whose files are read.
        header: whether the first line of every file is a header.

    Raises:
        UserError: there is no file, or one is empty or has bad rows.
    """
    seen: set[Text] = set()
    sources = []
    for kind in NAMES:
        for name, path in find_files(folder, kind, tasks).items():
            task = next(task for task in tasks if task.name == name)
            content = read_table(path, task, kind in LABELLED, header)
            check_rows(content)
            require_rows(content)
            texts = dict.fromkeys(row.texts for row in content.rows if any(text.strip() for text in row.texts))
            own = [text for text in texts if text not in seen]
            seen.update(own)
            sources.append(Source(name, kind, path, content.good_rows, own))
    if not seen:
        names = ", ".join(task.name for task in tasks)
        raise UserError(
            f"{folder} has no text to train on: no file of {names} with a row in it. Files go by names like "
            f"{names.split(', ')[0]}_train.csv; docs/pretraining.md lists them."
        )
    return sources


def hold_out(texts: list[Text], share: float, seed: int) -> tuple[list[Text], list[Text]]:
    """Splits texts into training texts and held-out texts, at least one of each.

    Pairs with the same first text are on the same side, so that no held-out pair was half seen in training.

    Args:
        texts: distinct texts.
        share: share of the distinct first texts that is held out.
        seed: the run's seed.

    Raises:
        UserError: there are fewer than two distinct first texts.
    """
    firsts = list(dict.fromkeys(text[0] for text in texts))
    if len(firsts) < 2:
        raise UserError(f"There is only {len(firsts)} text; pre-training needs one to train on and another to measure on.")
    count = min(len(firsts) - 1, max(1, round(share * len(firsts))))
    chosen = {firsts[place] for place in generator(seed, "held out").permutation(len(firsts))[:count]}
    return [text for text in texts if text[0] not in chosen], [text for text in texts if text[0] in chosen]
