"""Counts what the labels of a file's rows are, by the task's type; keeps a number of each row, no texts."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.shared_texts import comparable_texts
from easytransfer_mtl.data.tag_units import tag_spans, unit_spans
from easytransfer_mtl.inspection.findings import Spots
from easytransfer_mtl.tasks import LABEL_SEPARATOR, MULTI_LABEL, OUTSIDE, SCORE, TAGS, Task

SPECIAL_TOKENS = 2
"""[CLS] and [SEP] take as much of a row's length."""


@dataclass
class LabelScan:
    """The labels of a file's N rows, one a row.

    Attributes:
        task: the task.
        sequence_length: in tokens; of tags, what is behind it is counted.
        keys: a number of each row, equal where labels are equal; -1 without labels.
        counts: label -> rows that have it; of tags, kind of entity -> entities.
    """

    task: Task
    sequence_length: int
    keys: "array[int]" = field(default_factory=lambda: array("q"))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, line: int) -> None:
        """Counts a row."""
        if row.label is None:
            self.keys.append(-1)
        else:
            self.keys.append(self._counted(row.label, row.texts[0], line))

    def _counted(self, label: str, text: str, line: int) -> int:
        self.counts[label] += 1
        return hash(label)


@dataclass
class SetScan(LabelScan):
    """The labels of rows with any number of them.

    Attributes:
        sets: labels in the task's order -> rows that have these and no other.
    """

    sets: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def _counted(self, label: str, text: str, line: int) -> int:
        given = set(label.split(LABEL_SEPARATOR)) if label else set()
        found = tuple(name for name in self.task.label_enumerate_values if name in given)
        self.counts.update(found)
        self.sets[found] += 1
        return hash(found)


@dataclass
class NumberScan(LabelScan):
    """The numbers of rows.

    Attributes:
        numbers: of each row.
    """

    numbers: "array[float]" = field(default_factory=lambda: array("d"))

    def _counted(self, label: str, text: str, line: int) -> int:
        self.numbers.append(float(label))
        return hash(float(label))

    @property
    def values(self) -> np.ndarray:
        """The numbers, float64 [N]."""
        return np.array(self.numbers, np.float64)


@dataclass
class TagScan(LabelScan):
    """The tags of texts.

    Attributes:
        rows: rows that have a kind of entity, and those that have any (``OUTSIDE``).
        tags: tag -> how often it occurs.
        after_outside: tag ``I-KIND`` -> how often it begins a text or stands after ``O``.
        after_other: (tag before, tag ``I-KIND``) -> how often it stands after another kind's tag.
        ill_formed: the sum of both.
        too_long: rows whose characters or words, white space aside, are more than ``sequence_length`` has room for.
        tags_cut: tags of these that are behind.
        longest: the largest number of characters or words, white space aside.
    """

    rows: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    after_outside: Counter[str] = field(default_factory=Counter)
    after_other: Counter[tuple[str, str]] = field(default_factory=Counter)
    ill_formed: Spots = field(default_factory=Spots)
    too_long: Spots = field(default_factory=Spots)
    tags_cut: int = 0
    longest: int = 0

    def _counted(self, label: str, text: str, line: int) -> int:
        tags, spans = label.split(), unit_spans(text, self.task.unit)
        self.tags.update(tags)
        self._look_at(tags, line)
        length = sum(not text[start:end].isspace() for start, end in spans)
        self.longest = max(self.longest, length)
        if (behind := length - (self.sequence_length - SPECIAL_TOKENS)) > 0:
            self.too_long.add(line)
            self.tags_cut += behind
        entities = [(kind, text[spans[first][0] : spans[last][1]]) for kind, first, last in tag_spans(tags)]
        self.counts.update(kind for kind, _ in entities)
        self.rows.update({kind for kind, _ in entities} | ({OUTSIDE} if entities else set()))
        return hash(tuple((kind, *comparable_texts((name,))) for kind, name in entities))

    def _look_at(self, tags: list[str], line: int) -> None:
        for before, tag in zip([OUTSIDE, *tags], tags):
            if not tag.startswith("I-") or before[2:] == tag[2:]:
                continue
            self.ill_formed.add(line)
            if before == OUTSIDE:
                self.after_outside[tag] += 1
            else:
                self.after_other[before, tag] += 1


_SCANS: dict[str, type[LabelScan]] = {MULTI_LABEL: SetScan, SCORE: NumberScan, TAGS: TagScan}


def label_scan(task: Task, sequence_length: int) -> LabelScan:
    """Returns what counts the labels of a task's type."""
    return _SCANS.get(task.type, LabelScan)(task, sequence_length)
