"""What each method of the Gram matrix promises, where it is hardest: lengths 1e8 apart, cosines to 1e-9 of 1 and of -1."""

import numpy as np
import pytest
from hard_gradients import KINDS, SIZES, SPREADS, direction_of, gradients_of, terms
from scipy.optimize import minimize

from easytransfer_mtl.weighting import (
    DBMTL,
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    Nash,
    PCGrad,
    UPGrad,
)
from easytransfer_mtl.weighting.gram import GramWeighting


def nearest_without_conflict(own: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Returns the projection on {d: d'g_j >= 0 for all j} as a general solver finds it."""
    cone = {"type": "ineq", "fun": lambda d: gradients @ d, "jac": lambda d: gradients}
    options = {"ftol": 1e-16, "maxiter": 500}
    return minimize(
        lambda d: ((d - own) @ (d - own), 2 * (d - own)), own, jac=True, constraints=cone, method="SLSQP", options=options
    ).x


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_mgda_meets_its_optimality_conditions(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        weights, direction, projections = direction_of(MGDA(len(gradients)), gradients)
        length, longest = np.sqrt(direction @ direction), terms(weights, gradients)
        if length < 1e-9 * longest:
            continue  # they cancel, and every such point is the least
        # g_i'd = |d|^2 / sum(w) for those that have a weight, and no less for the others.
        wanted = direction @ direction / weights.sum() / np.linalg.norm(gradients, axis=1)
        below = (wanted - projections) / length
        assert (weights >= 0).all() and below.max() < 1e-15 * 1e3 / gap
        held = weights * np.linalg.norm(gradients, axis=1) > 1e-12 * longest
        assert np.abs(below[held]).max() < 1e-15 * 1e3 / gap


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_imtl_g_goes_equally_far_along_every_gradient(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        weights, _, projections = direction_of(IMTLG(len(gradients)), gradients)
        assert float(weights.sum()) == pytest.approx(len(gradients), rel=1e-9)
        size = np.abs(projections).max()
        if kind == "opposite":
            assert size < 1e-12 * terms(weights, gradients)
        else:
            assert np.ptp(projections) < 1e-15 * 1e5 / gap * size


@pytest.mark.parametrize("gap", [2.0, 1.0, 1e-3, 1.5e-3**2 / 2, 1e-6, 1e-9, 1e-12, 0.0])
@pytest.mark.parametrize("ratio", [1.0, 2002.0, 1e8])
def test_imtl_g_of_two_tasks_is_the_papers_solution_however_close_to_opposite(gap: float, ratio: float) -> None:
    gram = np.array([[1.0, (gap - 1) * ratio], [(gap - 1) * ratio, ratio * ratio]])
    found = IMTLG(2).solve(gram, np.ones(2), 0)
    np.testing.assert_allclose(found, 2 * np.array([ratio, 1.0]) / (1 + ratio), rtol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "opposite"])
@pytest.mark.parametrize("spread", SPREADS)
def test_nash_solves_its_equation(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        weights, direction, _ = direction_of(Nash(len(gradients), max_norm=0), gradients)
        assert np.abs(gradients.astype(np.longdouble) @ direction * weights - 1).max() < 1e-15 * 1e5 / gap
        assert float(direction @ direction) == pytest.approx(len(gradients), rel=1e-15 * 1e5 / gap)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_upgrad_conflicts_with_no_task(kind: str, spread: int) -> None:
    for gradients, _ in gradients_of(kind, spread):
        weights, direction, projections = direction_of(UPGrad(len(gradients)), gradients)
        length = max(np.sqrt(direction @ direction), 1e-6 * terms(weights, gradients))
        assert (weights >= 1 - 1e-9).all() and projections.min() > -1e-9 * length


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [0, 1])
def test_upgrad_is_the_sum_of_the_nearest_directions_without_conflict(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        if gap < 1e-3 or len(gradients) > 4:
            continue
        units = gradients / np.linalg.norm(gradients, axis=1).max()
        _, direction, _ = direction_of(UPGrad(len(units)), units)
        total = np.zeros(units.shape[1])
        for own in units:
            total += nearest_without_conflict(own, units)
        np.testing.assert_allclose(direction.astype(float), total, atol=2e-5)


@pytest.mark.parametrize("c", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_cagrads_worst_task_gains_what_its_dual_allows(c: float, kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        size = len(gradients)
        weights, direction, _ = direction_of(CAGrad(size, c), gradients)
        exact, mean = gradients.astype(np.longdouble), gradients.astype(np.longdouble).mean(axis=0)
        radius = c * np.sqrt(mean @ mean)
        step = direction / size
        distance = np.sqrt((step - mean) @ (step - mean))
        assert distance <= radius * (1 + 1e-6)
        if radius < 1e-6 * np.linalg.norm(gradients, axis=1).max():
            continue  # all of it is rounding
        # What every task gains, against all that a gradient of its length could.
        gains, most = exact @ step, np.linalg.norm(gradients, axis=1) * np.sqrt(step @ step)
        if distance < radius * (1 - 1e-6):  # the gradients cancel: none can gain unless another loses
            assert kind == "opposite" and (gains > -1e-9 * most).all()
            continue
        # Every point of the simplex bounds the least gain from above (the dual); the one that the weights tell attains it.
        point = np.maximum(weights / size - 1 / np.longdouble(size), 0)
        combined = point @ exact / point.sum()
        bound = combined @ mean + radius * np.sqrt(combined @ combined)
        assert ((bound - gains) / most).max() < max(1e-8, 1e-15 * 1e3 / gap)


def test_cagrad_goes_along_no_rising_loss_where_the_gradients_can_cancel() -> None:
    gradients = np.array([[1.0, 0], [-2.0, 0], [0, 10.0]])
    weights = CAGrad(3).solve(gradients @ gradients.T, np.ones(3), 0)
    assert (gradients @ (weights @ gradients) >= -1e-9).all()
    np.testing.assert_allclose(weights @ gradients, [0, 10], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_pcgrad_is_its_algorithm_on_the_gradients_themselves(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread):
        size = len(gradients)
        if size > 2:  # the order is random from three tasks on, see test_gram_methods.py
            continue
        weights, direction, _ = direction_of(PCGrad(size, 0), gradients)
        exact = gradients.astype(np.longdouble)
        total = np.zeros(exact.shape[1], np.longdouble)
        for one, other in (exact, exact[::-1]):
            total += one - min(one @ other, 0) / (other @ other) * other
        assert np.abs(direction - total).max() <= 1e-14 * terms(weights, gradients) / min(gap, 1.0) ** 0.5


@pytest.mark.parametrize(
    "method",
    [MGDA, IMTLG, CAGrad, lambda size: Nash(size, 0), UPGrad, AlignedMTL, FairGrad, ConFIG, DualProj, DBMTL],
)
def test_equal_gradients_of_float32_share_their_weight(method: type[GramWeighting]) -> None:
    for size in SIZES:
        gradients = np.random.default_rng(size).standard_normal((size, 40)).astype(np.float32).astype(np.float64)
        gradients[-1] = gradients[0]
        weights = method(size).solve(gradients @ gradients.T, np.ones(size), 0)
        assert weights[-1] == pytest.approx(weights[0], rel=1e-6, abs=1e-9)
