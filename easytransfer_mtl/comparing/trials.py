"""Trainings of a search, what they give, and what the search needs of whoever runs them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SINGLE = "single"
"""The variant that is every task trained alone."""


@dataclass(frozen=True)
class Trial:
    """A variant, the fraction of the whole length that it is trained for, and the seed."""

    name: str
    fraction: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    Attributes:
        score: mean of the tasks' dev scores.
        seconds: of its trainings, the single-task ones one after the other; None if one was interrupted and resumed.
    """

    score: float
    seconds: float | None


RunTrials = Callable[[list[Trial], str], dict[Trial, Outcome | str]]
"""Runs trials, whatever is finished not again, under a title; returns what each gave, or why it failed."""
Scores = dict[str, dict[int, float]]
"""Variant -> seed -> mean score, for one length."""


def mean_of(scores: dict[int, float]) -> float:
    """Returns the mean over the seeds."""
    return float(np.mean(list(scores.values())))


def ranked(scores: Scores) -> list[str]:
    """Returns the variants, the best first; equal ones stay in their order."""
    return sorted(scores, key=lambda name: -mean_of(scores[name]))


def pooled_spread(scores: Scores) -> float | None:
    """Returns the standard deviation between seeds, pooled over the variants with several; None if there are none."""
    several = [list(values.values()) for values in scores.values() if len(values) > 1]
    if not several:
        return None
    freedom = sum(len(values) - 1 for values in several)
    return float(np.sqrt(sum(np.var(values) * len(values) for values in several) / freedom))


def near_the_cut(scores: Scores, keep: int, num_seeds: int) -> list[str]:
    """Returns the variants that a further seed is spent on, the nearest to the cut first.

    They are those whose mean is within the spread between seeds of the middle between the last variant that goes on and the
    first that does not. As long as no variant has two seeds, and the spread is not known, it is these two.

    Args:
        scores: of a rung so far.
        keep: how many go on.
        num_seeds: most seeds that a variant may have.
    """
    order = ranked(scores)
    if len(order) <= keep:
        return []
    last, first = mean_of(scores[order[keep - 1]]), mean_of(scores[order[keep]])
    cut, spread = (last + first) / 2, pooled_spread(scores)
    distances = {name: abs(mean_of(scores[name]) - cut) for name in order}
    near = order[keep - 1 : keep + 1] if spread is None else [name for name in order if distances[name] <= spread]
    return sorted((name for name in near if len(scores[name]) < num_seeds), key=lambda name: distances[name])
