"""What a split spreads evenly over its folds: a task's labels, ranges of its numbers, or its kinds of entities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.data.fold_assignment import assign_folds, assign_folds_by_rarest
from easytransfer_mtl.data.number_ranges import number_ranges
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, OUTSIDE, TAGS, Task

MOST_RANGES = 10
"""Ranges with about equally many rows that numbers are divided into."""


@dataclass(frozen=True, eq=False)
class Strata:
    """Parts of a task's rows, each of which goes to the folds in equal shares.

    Attributes:
        names: of the S parts.
        members: bool [N, S], which parts a row is in.
        is_partition: whether every row is in one part exactly.
        what: what a part is, for messages.
    """

    names: tuple[str, ...]
    members: np.ndarray
    is_partition: bool
    what: str = "label"

    def assign(self, groups: np.ndarray, num_folds: int, random: np.random.Generator) -> np.ndarray:
        """Returns the fold of each row, int64 [N]; rows of a group, see ``group_numbers``, are in one fold."""
        if self.is_partition:
            return assign_folds(self.members.argmax(axis=1), groups, num_folds, len(self.names), random)
        return assign_folds_by_rarest(self.members, groups, num_folds, random)


def strata_of(task: Task, rows: Sequence[Row]) -> Strata:
    """Returns the parts of labelled rows: by label; of numbers by range; of tags by the kinds of entities in the text."""
    if task.type == TAGS:
        return _kinds(task, rows)
    targets = [task.target(str(row.label)) for row in rows]
    if task.type == MULTI_LABEL:
        members = np.array(targets, bool).reshape(len(rows), task.num_labels)
        return Strata(task.label_enumerate_values, members, is_partition=False)
    if task.type == CLASSIFY:
        return _partition(task.label_enumerate_values, np.array(targets, np.int64))
    names, places = number_ranges(np.array(targets, np.float64), MOST_RANGES)
    return _partition(tuple(names), places, "range")


def _kinds(task: Task, rows: Sequence[Row]) -> Strata:
    kinds = {kind: place for place, kind in enumerate(task.entity_kinds)}
    members = np.zeros((len(rows), len(kinds)), bool)
    for row, of_row in zip(rows, members, strict=True):
        of_row[[kinds[tag[2:]] for tag in set(str(row.label).split()) if tag != OUTSIDE]] = True
    return Strata(task.entity_kinds, members, is_partition=False, what="kind of entity")


def _partition(names: tuple[str, ...], places: np.ndarray, what: str = "label") -> Strata:
    members = np.zeros((len(places), len(names)), bool)
    members[np.arange(len(places)), places] = True
    return Strata(names, members, is_partition=True, what=what)
