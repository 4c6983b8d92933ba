"""Which labels a model takes for which, in words."""

import logging
from collections.abc import Iterable

import numpy as np

from easytransfer_mtl.evaluation.metrics import ClassScore, TaskScore


def largest_confusions(score: TaskScore, most: int = 3) -> list[str]:
    """Returns the largest numbers of rows of one label that were predicted as another, in words, the largest first.

    Tasks that have no label a row have none.
    """
    if not isinstance(score, ClassScore):
        return []
    errors = score.confusion.copy()
    np.fill_diagonal(errors, 0)
    names = [score.task.named(label) for label in score.task.label_enumerate_values]
    sentences = []
    for place in np.argsort(-errors, axis=None, kind="stable")[:most]:
        truth, predicted = np.unravel_index(place, errors.shape)
        if errors[truth, predicted]:
            of = f"{errors[truth, predicted]:,} of {score.support[truth]:,} rows of {names[truth]}"
            sentences.append(f"{score.task.name}: {of} were predicted as {names[predicted]}")
    return sentences


def log_confusions(scores: Iterable[TaskScore]) -> None:
    """Logs each task's largest confusions."""
    for sentence in (sentence for score in scores for sentence in largest_confusions(score)):
        logging.info("%s", sentence)
