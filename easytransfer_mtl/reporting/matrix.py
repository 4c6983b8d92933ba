"""Tables of labels: precision, recall and F1 of each, and which is taken for which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.evaluation.metrics import LabelScore

MOST_LABELS = 30
"""Labels in a matrix; of more, those with the most confusions."""


@dataclass(frozen=True)
class Label:
    """A label's line: its code and name, its scores, how often it is true and how often predicted; whether it counts."""

    code: str
    name: str
    precision: float
    recall: float
    f1: float
    true: int
    predicted: int
    counted: bool = True


@dataclass(frozen=True)
class Cell:
    """A number, its share of the row's, and whether it is right."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Matrix:
    """True labels by predicted ones.

    Attributes:
        heads: code and name of each label that is shown, of rows and columns alike.
        rows: the cells of each true label.
        labels: number of all labels.
    """

    heads: list[tuple[str, str]]
    rows: list[list[Cell]]
    labels: int


def labels_of(score: LabelScore, predicted: np.ndarray) -> list[Label]:
    """Returns a line for each label of a score, the lowest F1 first, those that do not count last.

    Args:
        score: the score.
        predicted: how often each label is predicted, int [C].
    """
    task = score.task
    columns = (score.precision, score.recall, score.f1, score.support, predicted, score.counted)
    values = zip(task.label_enumerate_values, *(column.tolist() for column in columns), strict=True)
    lines = [Label(code, task.label_names.get(code, ""), *numbers) for code, *numbers in values]
    return sorted(lines, key=lambda label: (not label.counted, label.f1))


def matrix_of(heads: Sequence[tuple[str, str]], counts: np.ndarray) -> Matrix:
    """Returns a matrix of at most ``MOST_LABELS`` labels.

    Args:
        heads: code and name of each label.
        counts: int [C, C], rows are true labels, columns predicted ones.
    """
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:MOST_LABELS]
    shown = sorted(most.tolist()) if len(heads) > MOST_LABELS else list(range(len(heads)))
    rows = [
        [
            Cell(int(counts[truth, other]), float(counts[truth, other] / max(1, counts[truth].sum())), truth == other)
            for other in shown
        ]
        for truth in shown
    ]
    return Matrix([heads[place] for place in shown], rows, len(heads))
