"""The score that the original's evaluation would have printed, for comparison with its published logs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import classification_report

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CLASSIFY, Task


@dataclass(frozen=True)
class LegacyScore:
    """The score that the original's evaluation would have printed.

    Attributes:
        macro_f1: task name -> macro-F1 read from the printed report, four digits.
        mean: mean of ``macro_f1``, by which the original chose its checkpoint.
        misplaced: number of rows scored as another task's.
    """

    macro_f1: dict[str, float]
    mean: float
    misplaced: int


def legacy_score(
    tasks: Sequence[Task],
    truths: Mapping[str, np.ndarray],
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    batch_size: int,
) -> LegacyScore:
    """Reproduces the score printed by the original's evaluation, including its defects.

    The original reads one batch of each task in turn, skips a task that has no more rows, and treats batch i as one of task
    i mod K, whatever its real task. Unless all tasks have the same number of batches, rows are read with another task's head
    and scored as that task's. The macro-F1 is the four-digit number in scikit-learn's printed report.

    Args:
        tasks: the K tasks in the order of the list file.
        truths: task name -> true label ids [N] of its rows, in file order.
        predictions: task name -> name of the task whose head was used -> predicted ids [N] for the first task's rows. Heads
            that no batch uses may be missing.
        batch_size: ``predict_batch_size``.

    Raises:
        UserError: a batch has one row, on which the original fails, a task gets no batch, or has not one label a row.
    """
    others = [task for task in tasks if task.type != CLASSIFY]
    if others:
        raise UserError(f"{others[0].name} is of the type {others[0].type}, which the original could not train or score.")
    pairs: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in tasks]
    misplaced = 0
    batches = round_robin([len(truths[task.name]) for task in tasks], batch_size)
    for position, (source, start, end) in enumerate(batches):
        rows = slice(start, end)
        real, head = tasks[source].name, tasks[position % len(tasks)].name
        truth = truths[real][rows]
        if len(truth) == 1:
            raise UserError(
                f"{real}: with predict_batch_size {batch_size} its {len(truths[real])} rows leave a batch of one row. The "
                "original turns such a batch into a plain number and stops with a TypeError, so there is no score to "
                "reproduce. Take another predict_batch_size, or the exact score, which has no such limit."
            )
        pairs[position % len(tasks)].append((truth, predictions[real][head][rows]))
        misplaced += len(truth) if real != head else 0
    macro_f1 = {task.name: _printed_macro_f1(task, part) for task, part in zip(tasks, pairs, strict=True)}
    return LegacyScore(macro_f1, sum(macro_f1.values()) / len(tasks), misplaced)


def round_robin(counts: list[int], batch_size: int) -> Iterator[tuple[int, int, int]]:
    """Yields (task, first row, end row) for one pass over K tasks, one batch of each in turn, as the original read them.

    A task that has no more rows is skipped and the others continue; TensorFlow 2's own interleaving stops there by default.

    Args:
        counts: rows per task.
        batch_size: rows per batch; a task's last batch may be smaller.
    """
    position = [0] * len(counts)
    while any(place < count for place, count in zip(position, counts)):
        for task, count in enumerate(counts):
            start = position[task]
            if start < count:
                position[task] = min(count, start + batch_size)
                yield task, start, position[task]


def _printed_macro_f1(task: Task, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    if not pairs:
        raise UserError(f"{task.name}: no batch falls to this task, so the original could not score it. Add rows.")
    truth, predicted = (np.concatenate(column) for column in zip(*pairs, strict=True))
    report = classification_report(truth, predicted, digits=4, zero_division=0)
    # The original reads the F1 of the line "macro avg", which is the eighth word from the end of the report.
    return float(report.split()[-8])
