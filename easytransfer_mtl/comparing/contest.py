"""What a search is of, and what it finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contest:
    """What is searched.

    Attributes:
        names: the variants, the reference first.
        fixed: those of them that are fixed weights.
        num_tasks: number of tasks, each of which is trained alone too.
        seeds: the seeds, in the order in which they are spent.
        budget: seconds.
        jobs: trainings at a time.
    """

    names: list[str]
    fixed: list[str]
    num_tasks: int
    seeds: list[int]
    budget: float
    jobs: int

    @property
    def reference(self) -> str:
        """The plain sum, which all others are compared with."""
        return self.names[0]


@dataclass(frozen=True)
class Dropped:
    """A variant that did not reach the full length.

    Attributes:
        name: the variant.
        rung: number of the rung that it was trained in last, from 1.
        fraction: that rung's length.
        score: mean over the seeds; None if the training failed.
        seeds: how many.
        reference: the plain sum's mean score in that rung.
        why: empty, or why the training failed.
    """

    name: str
    rung: int
    fraction: float
    score: float | None
    seeds: int
    reference: float
    why: str = ""


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        seeds: variant, or ``SINGLE`` -> the seeds that it was trained with at full length, the reference first.
        tuned: the best of the fixed weights at full length; None if there are none.
        dropped: all other variants, in the order in which they were dropped.
        seconds: part of the search -> seconds.
        failures: why trainings failed.
    """

    seeds: dict[str, list[int]]
    tuned: str | None
    dropped: list[Dropped]
    seconds: dict[str, float]
    failures: list[str]
