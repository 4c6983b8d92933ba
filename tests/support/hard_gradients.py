"""Gradients that are hard on methods of the Gram matrix: lengths 1e8 apart, cosines to 1e-9 of 1 and of -1."""

from collections.abc import Iterable, Iterator

import numpy as np

from easytransfer_mtl.weighting.gram import GramWeighting

SIZES = range(2, 9)
KINDS = ("random", "orthogonal", "opposite", "equal", "alike", "against")
GAPS = (1e-3, 1e-6, 1e-9)
"""1 - |cosine| of the first two gradients of ``alike`` and ``against``."""
SPREADS = (0, 4, 8)
"""Powers of ten between the shortest and the longest gradient."""


def unit_gradients(kind: str, size: int, gap: float, random: np.random.Generator) -> np.ndarray:
    if kind == "orthogonal":
        return np.eye(size, size + 3)
    units = random.standard_normal((size, size + 3))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    if kind in ("equal", "opposite"):
        units[1] = units[0] if kind == "equal" else -units[0]
    elif kind in ("alike", "against"):
        across = units[1] - units[1] @ units[0] * units[0]
        across /= np.linalg.norm(across)
        turned = (1 - gap) * units[0] + np.sqrt(gap * (2 - gap)) * across
        units[1] = turned if kind == "alike" else -turned
    return units


def gradients_of(kind: str, spread: int, sizes: Iterable[int] = SIZES) -> Iterator[tuple[np.ndarray, float]]:
    """Yields gradients of every number of tasks and scale, and how far the first two are from one line."""
    random = np.random.default_rng(0)
    for size in sizes:
        for gap in GAPS if kind in ("alike", "against") else (1.0,):
            for scale in (1.0, 1e-20, 1e15):
                lengths = 10.0 ** random.uniform(0, spread, (size, 1))
                lengths[random.permutation(size)[:2], 0] = 1, 10.0**spread
                yield unit_gradients(kind, size, gap, random) * lengths * scale, gap


def direction_of(weighting: GramWeighting, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights, the direction and its projections on the unit gradients, worked out to more digits."""
    weights = weighting.solve(gradients @ gradients.T, np.ones(len(gradients)), 0).astype(np.longdouble)
    exact = gradients.astype(np.longdouble)
    direction = weights @ exact
    return weights, direction, exact @ direction / np.sqrt((exact * exact).sum(axis=1))


def terms(weights: np.ndarray, gradients: np.ndarray) -> np.longdouble:
    """Returns the length of the longest term of the direction's sum, which its rounding is in proportion to."""
    return (np.abs(weights) * np.linalg.norm(gradients, axis=1)).max()
