"""TorchJD's methods, with their defaults, beside ours on the same float64 gradients: how far each is from its paper."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torchjd.aggregation as torchjd
from hard_gradients import unit_gradients

from easytransfer_mtl.weighting import IMTLG, MGDA, AlignedMTL, CAGrad, ConFIG, DualProj, FairGrad, Nash, UPGrad
from easytransfer_mtl.weighting.gram import GramWeighting

Exact = np.longdouble
C, ALPHA = 0.4, 2.0
SIZES = (2, 3, 8)
FAILED = np.inf
CASES = {
    "usual": [("random", 1.0, 0, 1.0), ("random", 1.0, 1, 1.0)],
    "small": [("random", 1.0, 0, 1e-8)],
    "uneven": [("random", 1.0, 2, 1.0), ("random", 1.0, 4, 1.0)],
    "nearly opposite": [("against", 1e-3, 0, 1.0), ("against", 1e-6, 0, 1.0)],
    "nearly equal": [("alike", 1e-3, 0, 1.0), ("alike", 1e-6, 0, 1.0)],
}
"""Name -> kinds of gradients: how they lie, gap of the first two to one line, powers of ten between lengths, scale."""


@dataclass(frozen=True)
class Peer:
    """A method of both: ours and theirs for K tasks, and the error of a step.

    Attributes:
        error: gradients [K, n], step [n] -> how far the step is from the paper's, relative to what it is to be; 0 is exact.
    """

    ours: Callable[[int], GramWeighting]
    theirs: Callable[[int], torchjd.Aggregator]
    error: Callable[[np.ndarray, np.ndarray], float]


def _length(vector: np.ndarray) -> Exact:
    return np.sqrt(vector @ vector)


def _gains(gradients: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Returns the cosines of the step with the gradients."""
    return gradients @ step / np.sqrt((gradients * gradients).sum(axis=1)) / _length(step)


def uneven_gains(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns how much the projections on the unit gradients differ: IMTL-G and ConFIG make them equal."""
    gains = _gains(gradients, step)
    return float(np.ptp(gains) / np.abs(gains).max())


def conflict(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns how much a loss rises along the step, which UPGrad and DualProj rule out."""
    return float(max(-_gains(gradients, step).min(), 0))


def mgda_error(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns how much the shortest convex combination is missed by: no gradient lies below the plane through it."""
    square = step @ step
    return float(max((square - (gradients @ step).min()) / square, 0))


def cagrad_error(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns how much less the worst task gains than by our step, which other tests hold to its dual."""
    best = _step(CAGrad(len(gradients), C), gradients)
    mean = gradients.mean(axis=0)
    over = max(_length(step - mean) / (C * _length(mean)) - 1, 0)
    return float(max((gradients @ best - gradients @ step).min() / np.abs(gradients @ best).max(), over))


def nash_error(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns how unlike the products of weight and gain are, which are equal in the bargain; any length will do."""
    weights = _weights(gradients, step)
    products = weights * (gradients @ step)
    return float(np.ptp(products) / np.abs(products).max())


def fair_error(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns by how much FairGrad's equation is missed."""
    gains = gradients @ step
    left = np.sign(gains) * np.abs(gains) ** Exact(ALPHA) * _weights(gradients, step)
    return float(np.abs(left - 1).max())


def aligned_error(gradients: np.ndarray, step: np.ndarray) -> float:
    """Returns the distance from the sum of the orthonormal polar factor, in units of the smallest singular value."""
    left, values, right = np.linalg.svd(gradients.astype(float), full_matrices=False)
    wanted = values[-1] * (left @ right).sum(axis=0)
    return float(_length(step - wanted) / _length(wanted))


def _weights(gradients: np.ndarray, step: np.ndarray) -> np.ndarray:
    found = np.linalg.lstsq(gradients.T.astype(float), step.astype(float), rcond=None)[0]
    return found.astype(Exact)


PEERS = {
    "mgda": Peer(MGDA, lambda size: torchjd.MGDA(), mgda_error),
    "upgrad": Peer(UPGrad, lambda size: torchjd.UPGrad(), conflict),
    "dualproj": Peer(DualProj, lambda size: torchjd.DualProj(), conflict),
    "cagrad": Peer(lambda size: CAGrad(size, C), lambda size: torchjd.CAGrad(c=C), cagrad_error),
    "nash": Peer(lambda size: Nash(size, 0), lambda size: torchjd.NashMTL(n_tasks=size), nash_error),
    "fairgrad": Peer(lambda size: FairGrad(size, ALPHA), lambda size: torchjd.FairGrad(alpha=ALPHA), fair_error),
    "imtl_g": Peer(IMTLG, lambda size: torchjd.IMTLG(), uneven_gains),
    "config": Peer(ConFIG, lambda size: torchjd.ConFIG(), uneven_gains),
    "aligned_mtl": Peer(AlignedMTL, lambda size: torchjd.AlignedMTL(pref_vector=torch.ones(size).double()), aligned_error),
}


def gradients_of(case: str) -> Iterable[np.ndarray]:
    """Yields the gradients of a case, of several numbers of tasks."""
    random = np.random.default_rng(0)
    for kind, gap, spread, scale in CASES[case]:
        for size in SIZES:
            for _ in range(5):
                lengths = 10.0 ** random.uniform(0, spread, (size, 1))
                lengths[random.permutation(size)[:2], 0] = 1, 10.0**spread
                yield unit_gradients(kind, size, gap, random) * lengths * scale


def _step(weighting: GramWeighting, gradients: np.ndarray) -> np.ndarray:
    plain = gradients.astype(float)
    weights = weighting.solve(plain @ plain.T, np.ones(len(plain)), 0)
    return weights.astype(Exact) @ gradients.astype(Exact) / _factor(weighting)


def _factor(weighting: GramWeighting) -> int:
    """Returns K for methods whose errors depend on the length and whose step TorchJD divides by K."""
    return weighting.num_tasks if isinstance(weighting, CAGrad | MGDA) else 1


def errors(name: str, case: str) -> tuple[list[float], list[float]]:
    """Returns the errors of ours and of theirs on each of a case's gradients; infinite where a method gives no step."""
    peer = PEERS[name]
    ours: list[float] = []
    theirs: list[float] = []
    for gradients in gradients_of(case):
        exact = gradients.astype(Exact)
        ours.append(_error(peer, exact, _step(peer.ours(len(gradients)), gradients)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                step = peer.theirs(len(gradients))(torch.from_numpy(gradients)).numpy()
        except Exception:  # whatever a solver raises: it gave no step
            theirs.append(FAILED)
            continue
        theirs.append(_error(peer, exact, step.astype(Exact)))
    return ours, theirs


def _error(peer: Peer, gradients: np.ndarray, step: np.ndarray) -> float:
    if not np.isfinite(step.astype(float)).all() or not step.any():
        return FAILED
    return peer.error(gradients, step)
