"""Learns the labels of tasks that ask for it from their train files."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from easytransfer_mtl.data.contest_files import require_files
from easytransfer_mtl.data.table_reader import TableTally, check_rows, require_rows, stream_rows
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.tasks import CLASSIFY, FROM_DATA, LABEL_SEPARATOR, LONGEST_WORD, MULTI_LABEL, TAGS, Task

MOST_LABELS, LONGEST_SHOWN = 1000, 10_000


def with_labels(tasks: tuple[Task, ...], data_dir: str, header: bool = False) -> tuple[Task, ...]:
    """Returns the tasks; those whose labels are ``from data`` with the labels of their train file, which the log shows.

    The order of the labels depends on the labels alone: whole numbers by their value, other labels by their code points.

    Args:
        tasks: the tasks.
        data_dir: the folder of their files, see ``find_files``.
        header: whether the first line of files in the contest's format is a header.

    Raises:
        UserError: a train file is missing, cannot be read, or has fewer than two labels or more than ``MOST_LABELS``.
    """
    asking = tuple(task for task in tasks if task.learns_labels)
    found = require_files(data_dir, "train", asking) if asking else {}
    return tuple(_learned(task, found[task.name], header) if task in asking else task for task in tasks)


def _learned(task: Task, path: Path, header: bool) -> Task:
    tally, counts = TableTally(path, task, labelled=True, header=header), Counter[str]()
    where = f"{task.name}: the labels of {path}, column {shown(task.label_name)}"
    for row in stream_rows(tally):
        label = str(row.label)
        new = label.split() if task.type == TAGS else [label]
        new = label.split(LABEL_SEPARATOR) if task.type == MULTI_LABEL else new
        new = list(filter(None, new))
        counts.update(new)
        if len(counts) > MOST_LABELS or any(len(label) > LONGEST_WORD for label in new):
            raise UserError(
                f"{where}, look like texts: {len(counts):,} different ones in {tally.good_rows:,} rows, such as "
                f"{shown(next(reversed(counts)))}. Name the label's column as label_name, or list the labels."
            )
    if not tally.good_rows:
        check_rows(tally)
    require_rows(tally)
    least = 2 if task.type == CLASSIFY else 1
    if len(counts) < least:
        raise UserError(f"{where}, are all {shown(next(iter(counts), None))}; there must be {least} or more to learn.")
    labels = sorted(counts, key=_order(list(counts)))
    each = ", ".join(f"{label} ({counts[label]:,})" for label in labels)
    logging.info("%s: %d labels %s, %s: %s", task.name, len(labels), FROM_DATA, path, clipped(each, LONGEST_SHOWN))
    return replace(task, label_enumerate_values=tuple(labels))


def _order(labels: list[str]) -> Callable[[str], tuple[int, str]]:
    if all(label.removeprefix("-").isdecimal() and len(label) < 19 for label in labels):
        return lambda label: (int(label), label)
    return lambda label: (0, label)
