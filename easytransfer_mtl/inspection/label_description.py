"""Describes what the labels of a file's rows are, by the task's type."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.tag_units import tag_spans, unit_spans
from easytransfer_mtl.tasks import CLASSIFY, LABEL_SEPARATOR, MULTI_LABEL, SCORE, Task

NUMBER_BINS = 40
LONGEST_BAR = 12
"""Length of an entity, in characters or words, from which on all longer ones are counted together."""
MOST_ENTITIES = 12


@dataclass(frozen=True)
class Numbers:
    """The numbers of a file's rows.

    Attributes:
        mean, standard_deviation, least, lower_quartile, median, upper_quartile, greatest: of the numbers.
        histogram: rows by number, in equal bins of the task's ``number_range``.
    """

    mean: float
    standard_deviation: float
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    greatest: float
    histogram: list[int]


@dataclass(frozen=True)
class Entities:
    """The entities of one kind in a file's rows.

    Attributes:
        count: how many there are.
        mean_length: in characters or words, as the task's ``unit`` says; 0 without any.
        longest: the same of the longest.
        most_frequent: text -> how often it is an entity of this kind, at most ``MOST_ENTITIES``.
    """

    count: int
    mean_length: float
    longest: int
    most_frequent: dict[str, int]


@dataclass(frozen=True)
class LabelDescription:
    """The labels of a file's rows.

    Attributes:
        rows: label -> rows with it; of tags, kind of entity -> rows with one. Empty of numbers.
        labels_a_row: of several labels a row, number of rows with 0, 1, 2, ... labels; else None.
        numbers: of numbers, else None.
        entities: of tags, kind -> its entities; else None.
        entity_lengths: of tags, entities by length, 1 to ``LONGEST_BAR``, the last with all longer ones; else None.
    """

    rows: dict[str, int]
    labels_a_row: list[int] | None = None
    numbers: Numbers | None = None
    entities: dict[str, Entities] | None = None
    entity_lengths: list[int] | None = None


def number_range(task: Task, files: Sequence[Sequence[Row]]) -> tuple[float, float] | None:
    """Returns the least and the greatest number of a task's labelled files; None of other types and without any."""
    if task.type != SCORE:
        return None
    numbers = [float(row.label) for rows in files for row in rows if row.label is not None]
    return (min(numbers), max(numbers)) if numbers else None


def describe_labels(task: Task, rows: Sequence[Row], bounds: tuple[float, float] | None) -> LabelDescription:
    """Describes the labels of labelled rows, at least one; ``bounds`` is the task's ``number_range``."""
    labels = [str(row.label) for row in rows]
    if bounds is not None:
        return LabelDescription({}, numbers=_numbers(np.array(labels, np.float64), bounds))
    if task.type == CLASSIFY:
        counts = Counter(labels)
        return LabelDescription({label: counts[label] for label in task.label_enumerate_values})
    if task.type == MULTI_LABEL:
        sets = [label.split(LABEL_SEPARATOR) if label else [] for label in labels]
        counts = Counter(label for found in sets for label in found)
        sizes = np.bincount([len(found) for found in sets]).tolist()
        return LabelDescription({label: counts[label] for label in task.label_enumerate_values}, labels_a_row=sizes)
    return _entities(task, rows)


def _numbers(numbers: np.ndarray, bounds: tuple[float, float]) -> Numbers:
    least, lower, median, upper, greatest = (float(value) for value in np.percentile(numbers, [0, 25, 50, 75, 100]))
    # Numbers that are all equal are one bar.
    histogram = np.histogram(numbers, NUMBER_BINS if bounds[0] < bounds[1] else 1, bounds)[0].tolist()
    return Numbers(float(numbers.mean()), float(numbers.std()), least, lower, median, upper, greatest, histogram)


def _entities(task: Task, rows: Sequence[Row]) -> LabelDescription:
    rows_with: Counter[str] = Counter()
    lengths: dict[str, list[int]] = defaultdict(list)
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        spans, found = unit_spans(row.texts[0], task.unit), tag_spans(str(row.label).split())
        rows_with.update({kind for kind, _, _ in found})
        for kind, first, last in found:
            lengths[kind].append(last - first + 1)
            names[kind][row.texts[0][spans[first][0] : spans[last][1]]] += 1
    entities = {}
    for kind in task.entity_kinds:
        own = lengths[kind]
        mean = sum(own) / len(own) if own else 0.0
        entities[kind] = Entities(len(own), mean, max(own, default=0), dict(names[kind].most_common(MOST_ENTITIES)))
    all_lengths = np.array([length for own in lengths.values() for length in own], np.int64)
    bars = np.bincount(np.minimum(all_lengths, LONGEST_BAR), minlength=LONGEST_BAR + 1)[1:].tolist()
    return LabelDescription({kind: rows_with[kind] for kind in task.entity_kinds}, entities=entities, entity_lengths=bars)
