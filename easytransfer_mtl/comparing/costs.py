"""What trainings cost: seconds that were measured, and those that are to be expected of longer ones."""

import heapq
from collections.abc import Iterable

import numpy as np

UNKNOWN = 1.25
"""A variant that was never trained is expected to take this many times as long as the reference, as methods with a Gram
matrix do, see docs/weighting.md."""


class Costs:
    """The seconds of finished trainings, as a start that every training has and a rate by length."""

    def __init__(self, reference: str) -> None:
        """Takes the name of the variant that others are judged by until they are measured."""
        self._reference = reference
        self._seen: dict[str, dict[float, list[float]]] = {}

    def add(self, name: str, fraction: float, seconds: float) -> None:
        """Adds the seconds of a training of a fraction of the whole length."""
        self._seen.setdefault(name, {}).setdefault(fraction, []).append(seconds)

    @property
    def known(self) -> bool:
        """Whether the reference was measured at two lengths, without which nothing can be expected."""
        return len(self._seen.get(self._reference, {})) > 1

    @property
    def start(self) -> float:
        """The seconds of the reference that do not depend on the length."""
        return self._line(self._reference)[0]

    def of(self, name: str, fraction: float) -> float:
        """Returns the seconds to expect of a training."""
        start, rate = self._line(name if name in self._seen else self._reference)
        return (start + rate * fraction) * (1.0 if name in self._seen else UNKNOWN)

    def _line(self, name: str) -> tuple[float, float]:
        """Returns the start and the rate of a variant: by its shortest and longest trainings, or by the only length and the
        reference's start."""
        seen = {fraction: float(np.mean(seconds)) for fraction, seconds in self._seen[name].items()}
        short, long = min(seen), max(seen)
        if short < long:
            # Starts differ by seconds, so that short trainings may give a line that cannot be.
            rate = min(max(0.0, (seen[long] - seen[short]) / (long - short)), seen[long] / long)
            return seen[long] - rate * long, rate
        start = min(self.start, seen[long])
        return start, (seen[long] - start) / long


def makespan(seconds: Iterable[float], jobs: int) -> float:
    """Returns the time until the last training ends, if each begins as soon as one of ``jobs`` places is free."""
    places = [0.0] * jobs
    for value in seconds:
        heapq.heapreplace(places, places[0] + value)
    return max(places)
