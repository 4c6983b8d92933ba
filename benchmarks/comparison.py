"""Two things measured in turn, and their ratio."""

import statistics
from dataclasses import dataclass
from typing import Any

RATES = ("rows/s", "tokens/s", "TFLOP/s")


@dataclass(frozen=True)
class Comparison:
    """Ours beside another, a number a round each.

    Attributes:
        what: what is done.
        unit: one of ``RATES``, or seconds (``s``), of which fewer are better.
        ours: ours.
        against: what it is compared with.
        theirs: the other's, in the same rounds.
    """

    what: str
    unit: str
    ours: list[float]
    against: str
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times better ours is, round by round."""
        pairs = zip(self.ours, self.theirs)
        return [ours / theirs if self.unit in RATES else theirs / ours for ours, theirs in pairs]

    def as_json(self) -> dict[str, Any]:
        """Returns names, spreads and every round's numbers."""
        return {
            "what": self.what,
            "unit": self.unit,
            "against": self.against,
            "ours": {**spread(self.ours), "rounds": self.ours},
            "theirs": {**spread(self.theirs), "rounds": self.theirs},
            "ratio": spread(self.ratios),
        }


def spread(values: list[float]) -> dict[str, float]:
    """Returns median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
