"""What is measured on held-out texts: numbers that a run's log, its checkpoints and its report tell."""

import math
from dataclasses import astuple, dataclass
from typing import ClassVar

LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Measurement:
    """The base of every objective's; its fields are floats, with which checkpoints hold it.

    Attributes:
        columns: those of metrics.csv that the objective has, of training steps and of measurements.
    """

    columns: ClassVar[tuple[str, ...]]

    @property
    def values(self) -> list[float]:
        """The fields in their order."""
        return list(astuple(self))

    def row(self) -> dict[str, float]:
        """Returns values by their column in metrics.csv."""
        raise NotImplementedError

    def report(self) -> dict[str, float]:
        """Returns values by name for pretraining.json."""
        raise NotImplementedError

    def text(self) -> str:
        """Returns what a terminal shows of a measurement."""
        raise NotImplementedError

    @staticmethod
    def step_text(logs: dict[str, float]) -> str:
        """Returns what a terminal shows of a training step, given what the model's step told."""
        raise NotImplementedError


def perplexity(loss: float) -> float:
    """Returns e^loss, or a very large number."""
    return math.exp(min(loss, LARGEST_EXPONENT))
