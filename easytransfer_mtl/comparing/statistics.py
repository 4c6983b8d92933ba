"""Statistics over a few seeds: means, spreads, and whether differences are supported."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The difference between the mean scores of a variant and of the first variant, paired by seed.

    Attributes:
        mean: mean of the differences.
        margin: half the width of the 95 % confidence interval of the mean (Student's t); None for one seed.
    """

    mean: float
    margin: float | None

    @property
    def supported(self) -> bool:
        """Whether the confidence interval excludes zero."""
        return self.margin is not None and abs(self.mean) > self.margin


def paired_difference(scores: list[float], reference: list[float]) -> Difference:
    """Compares two lists of scores for the same seeds."""
    differences = np.subtract(scores, reference)
    if len(differences) < 2:
        return Difference(float(differences.mean()), None)
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, len(differences) - 1)
    return Difference(float(differences.mean()), float(quantile * error))


def delta_m(scores: dict[str, float], single: dict[str, float]) -> float:
    """Returns the mean relative gain over single-task models in percent: 100 / K sum (M_i - S_i) / S_i.

    Vandenhende et al. 2021.
    """
    return 100.0 * float(np.mean([(scores[task] - single[task]) / single[task] for task in scores]))


def spread(values: list[float]) -> float:
    """Returns the standard deviation of a sample; 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
