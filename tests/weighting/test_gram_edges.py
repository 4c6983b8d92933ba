"""What the later methods of the Gram matrix promise: optima found by other means, and the edge of each method's range."""

from collections.abc import Callable

import numpy as np
import pytest
from hard_gradients import KINDS, SPREADS, direction_of, gradients_of, terms
from scipy.linalg import sqrtm
from scipy.optimize import least_squares, minimize

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import (
    CRMOGM,
    DBMTL,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradVac,
    Krum,
    Nash,
    PCGrad,
    Signals,
)
from easytransfer_mtl.weighting.aligned_mtl import aligning_matrix
from easytransfer_mtl.weighting.gradvac import HIGHEST, vaccinated
from easytransfer_mtl.weighting.gram import GramWeighting
from easytransfer_mtl.weighting.pcgrad import projected_sum

SIZES = (2, 3, 5, 8, 16)
INDEPENDENT = [kind for kind in KINDS if kind not in ("equal", "opposite")]
Exact = np.longdouble


def some_gradients(size: int, seed: int, spread: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(100 * size + seed)
    return random.standard_normal((size, size + 4)) * 10.0 ** random.uniform(-spread, spread, (size, 1))


def solved(weighting: GramWeighting, gradients: np.ndarray) -> np.ndarray:
    return weighting.solve(gradients @ gradients.T, np.ones(len(gradients)), 0)


# Aligned-MTL


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_aligned_mtl_weights_are_those_of_the_inverse_root(size: int) -> None:
    for seed in range(10):
        gradients = some_gradients(size, seed)
        least = np.sqrt(np.linalg.eigvalsh(gradients @ gradients.T)[0])
        expected = least * np.linalg.inv(np.real(sqrtm(gradients @ gradients.T))).sum(axis=1)
        np.testing.assert_allclose(solved(AlignedMTL(size), gradients), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_aligned_mtls_step_is_the_sum_of_the_nearest_orthogonal_gradients(size: int) -> None:
    for seed in range(10):
        gradients = some_gradients(size, seed)
        left, values, right = np.linalg.svd(gradients, full_matrices=False)
        np.testing.assert_allclose(
            solved(AlignedMTL(size), gradients) @ gradients, (values[-1] * left @ right).sum(axis=0), atol=1e-9 * values[0]
        )


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_aligned_mtl_of_dependent_gradients_leaves_the_missing_component_out(size: int) -> None:
    for seed in range(10):
        gradients = some_gradients(size + 1, seed)[:, :size]  # one more than they have dimensions
        left, values, right = np.linalg.svd(gradients, full_matrices=False)
        step = solved(AlignedMTL(size + 1), gradients) @ gradients
        np.testing.assert_allclose(step, (values[-1] * left @ right).sum(axis=0), atol=1e-8 * values[0])


@pytest.mark.parametrize("kind", INDEPENDENT)
@pytest.mark.parametrize("spread", SPREADS)
def test_aligned_gradients_are_orthogonal_and_of_one_length(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread, SIZES):
        if spread == 8 and gap < 1e-6:
            continue  # beyond what is promised
        exact = gradients.astype(Exact)
        matrix = aligning_matrix(gradients @ gradients.T).astype(Exact)
        aligned = matrix @ (exact @ exact.T) @ matrix
        lengths = np.diag(aligned)
        np.testing.assert_allclose((aligned / lengths.mean()).astype(float), np.eye(len(gradients)), atol=1e-4)
        np.testing.assert_allclose(matrix.astype(float), matrix.T.astype(float), rtol=0, atol=1e-12)


# FairGrad


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_fairgrad_is_what_another_solver_finds(alpha: float, size: int) -> None:
    for seed in range(5):
        gradients = some_gradients(size, seed, 0.5)
        gram = gradients @ gradients.T
        weights = solved(FairGrad(size, alpha), gradients)

        def excess(logs: np.ndarray, gram: np.ndarray = gram) -> np.ndarray:
            return gram @ np.exp(logs) - np.exp(-logs / alpha)

        found = least_squares(excess, np.zeros(size), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=10_000)
        assert np.abs(found.fun).max() < 1e-6
        np.testing.assert_allclose(weights, np.exp(found.x), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_no_step_of_its_length_has_a_larger_fair_utility_than_fairgrads(alpha: float, size: int) -> None:
    random = np.random.default_rng(size)
    for seed in range(5):
        gradients = some_gradients(size, seed, 0.5)
        step = solved(FairGrad(size, alpha), gradients) @ gradients
        length = np.linalg.norm(step)

        def utility(direction: np.ndarray, gradients: np.ndarray = gradients) -> float:
            gains = gradients @ direction
            return float(np.sum(gains ** (1 - alpha) / (1 - alpha))) if (gains > 0).all() else -np.inf

        best = utility(step)
        assert np.isfinite(best)
        for scale in (1e-3, 1e-2, 0.1, 1.0):
            for _ in range(50):
                other = step + scale * length * random.standard_normal(len(step))
                assert utility(other * length / np.linalg.norm(other)) <= best + 1e-9 * abs(best)


@pytest.mark.parametrize("kind", INDEPENDENT)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 10.0])
def test_fairgrad_solves_its_equation(alpha: float, spread: int, kind: str) -> None:
    for gradients, gap in gradients_of(kind, spread, SIZES):
        if gap < {1.0: 1e-9, 2.0: 1e-6}.get(alpha, 1e-3):
            continue  # beyond what is promised
        weights, direction, _ = direction_of(FairGrad(len(gradients), alpha), gradients)
        gains = gradients.astype(Exact) @ direction
        assert (weights > 0).all() and (gains > 0).all()
        assert np.abs(gains ** Exact(alpha) * weights - 1).max() < (1e-3 if gap < 1e-6 else 1e-4)


def test_fairgrad_of_alpha_1_is_nash() -> None:
    for kind in INDEPENDENT:
        for gradients, gap in gradients_of(kind, 4, SIZES):
            found, wanted = solved(FairGrad(len(gradients), 1.0), gradients), solved(Nash(len(gradients), 0), gradients)
            np.testing.assert_allclose(found, wanted, rtol=1e-12 / gap)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 10.0])
def test_fairgrad_of_two_tasks_of_one_length_is_the_closed_form(alpha: float) -> None:
    for cosine in (-0.999, -0.5, 0.0, 0.7):
        gram = 4.0 * np.array([[1.0, cosine], [cosine, 1.0]])
        wanted = (4.0 * (1 + cosine)) ** (-alpha / (1 + alpha))
        np.testing.assert_allclose(FairGrad(2, alpha).solve(gram, np.ones(2), 0), wanted, rtol=1e-10)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 10.0])
def test_fairgrad_of_gradients_that_cancel_stays_finite(alpha: float) -> None:
    for gradients, _ in gradients_of("opposite", 8, SIZES):
        weights = solved(FairGrad(len(gradients), alpha), gradients)
        assert np.isfinite(weights).all() and (weights > 0).all()
    opposite = np.array([[1.0, 2.0], [-1.0, -2.0]])
    assert (solved(FairGrad(2, alpha), opposite) < 1.1e6).all()


# ConFIG


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_config_is_the_papers_formula_on_the_gradients_themselves(size: int) -> None:
    for seed in range(10):
        gradients = some_gradients(size, seed)
        unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
        direction = np.linalg.pinv(unit) @ np.ones(size)
        direction /= np.linalg.norm(direction)
        step = (gradients @ direction).sum() * direction
        np.testing.assert_allclose(solved(ConFIG(size), gradients) @ gradients, step, rtol=1e-7, atol=1e-9)


def test_config_of_two_tasks_halves_the_angle() -> None:
    for seed in range(20):
        gradients = some_gradients(2, seed)
        lengths = np.linalg.norm(gradients, axis=1)
        between = (gradients / lengths[:, None]).sum(axis=0)
        between /= np.linalg.norm(between)
        step = solved(ConFIG(2), gradients) @ gradients
        np.testing.assert_allclose(step, (gradients @ between).sum() * between, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", INDEPENDENT)
@pytest.mark.parametrize("spread", SPREADS)
def test_config_has_one_positive_cosine_with_all_gradients(kind: str, spread: int) -> None:
    for gradients, gap in gradients_of(kind, spread, SIZES):
        _, direction, projections = direction_of(ConFIG(len(gradients)), gradients)
        assert projections.min() > 0
        assert np.ptp(projections) < (1e-3 if gap < 1e-6 else 1e-6) * projections.max()
        exact = gradients.astype(Exact)
        length = np.sqrt(direction @ direction)
        assert float(exact.sum(axis=0) @ direction / length**2) == pytest.approx(1, rel=1e-3 if gap < 1e-6 else 1e-6)


def test_config_of_gradients_that_all_cancel_takes_no_step() -> None:
    for gradients in (np.array([[1.0, 2], [-3.0, -6]]), np.array([[2.0, 0], [-0.5, 3**0.5 / 2], [-0.5, -(3**0.5) / 2]])):
        weights = solved(ConFIG(len(gradients)), gradients)
        assert (weights > 0).all()
        np.testing.assert_allclose(weights @ gradients, 0, atol=1e-9)


# DualProj


def projected(gradients: np.ndarray) -> np.ndarray:
    """Returns the sum of the gradients projected on the directions along which no loss rises, by a general solver."""
    total = gradients.sum(axis=0)
    cone = {"type": "ineq", "fun": lambda d: gradients @ d, "jac": lambda d: gradients}
    options = {"ftol": 1e-16, "maxiter": 500}
    return minimize(
        lambda d: ((d - total) @ (d - total), 2 * (d - total)), total, jac=True, constraints=cone, method="SLSQP",
        options=options,
    ).x  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_dualproj_is_the_nearest_direction_without_conflict(size: int) -> None:
    for seed in range(8):
        gradients = some_gradients(size, seed, 0.3)
        gradients[-1] -= gradients[0]
        np.testing.assert_allclose(solved(DualProj(size), gradients) @ gradients, projected(gradients), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_dualproj_conflicts_with_no_task(kind: str, spread: int) -> None:
    for gradients, _ in gradients_of(kind, spread, SIZES):
        weights, direction, projections = direction_of(DualProj(len(gradients)), gradients)
        length = max(np.sqrt(direction @ direction), 1e-6 * terms(weights, gradients))
        assert (weights >= 1 - 1e-9).all() and projections.min() > -1e-9 * length


# DB-MTL


@pytest.mark.parametrize("spread", [0, 8, 15])
def test_db_mtl_brings_the_gradients_of_log_losses_to_the_longest(spread: int) -> None:
    for size in (1, *SIZES):
        random = np.random.default_rng(size)
        gradients, losses = some_gradients(size, 0, spread), 10.0 ** random.uniform(-8, 8, size)
        weights = DBMTL(size).solve(gradients @ gradients.T, losses, 0)
        of_logs = gradients / (losses + 1e-8)[:, None]
        longest = np.linalg.norm(of_logs, axis=1).max()
        np.testing.assert_allclose(np.linalg.norm(weights[:, None] * gradients, axis=1), longest, rtol=1e-6)
    learned = DBMTL(2).solve(np.diag([4.0, 1.0]), np.array([0.0, 0.0]), 0)
    np.testing.assert_allclose(learned, [1e8, 2e8])


# GradVac


def in_order(size: int) -> list[np.ndarray]:
    return [np.arange(size)] * size


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_gradvac_of_no_targets_is_pcgrad(size: int) -> None:
    for seed in range(10):
        gradients = some_gradients(size, seed)
        gram = gradients @ gradients.T
        found, _ = vaccinated(gram, np.zeros((size, size)), 0.01, in_order(size))
        np.testing.assert_allclose(found, projected_sum(gram, in_order(size)), rtol=1e-9)


def by_hand(gradients: np.ndarray, targets: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the step and the moved targets by rotating vectors: the nearest one in the same plane with the cosine."""
    total, targets = np.zeros(gradients.shape[1], Exact), targets.astype(Exact)
    exact = gradients.astype(Exact)
    for task in range(len(exact)):
        turned = exact[task]
        for other in range(len(exact)):
            if other == task:
                continue
            unit = exact[other] / np.sqrt(exact[other] @ exact[other])
            along = turned @ unit
            across = turned - along * unit
            width = np.sqrt(across @ across)
            cosine = along / np.sqrt(turned @ turned)
            target = min(targets[task, other], Exact(HIGHEST))
            if cosine < target:
                turned = across + width * target / np.sqrt(1 - target**2) * unit
            targets[task, other] += beta * (cosine - targets[task, other])
        total += turned
    return total, targets


@pytest.mark.parametrize("kind", INDEPENDENT)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("level", [-0.5, 0.0, 0.9, 1.0])
def test_gradvac_turns_gradients_until_they_are_as_alike_as_their_targets(level: float, spread: int, kind: str) -> None:
    for gradients, gap in gradients_of(kind, spread, SIZES):
        if gap < 1e-6 or level == 1.0 and gap < 1:
            continue  # beyond what is promised; at the highest target all h become parallel, up to rounding
        size = len(gradients)
        targets = np.full((size, size), level)
        weights, moved = vaccinated(gradients @ gradients.T, targets, 0.1, in_order(size))
        step, wanted = by_hand(gradients, targets, 0.1)
        assert (weights >= 1).all()
        np.testing.assert_allclose(moved, wanted.astype(float), atol=1e-6)
        difference = weights.astype(Exact) @ gradients.astype(Exact) - step
        assert np.abs(difference).max() < 1e-6 * terms(weights, gradients)


# All of them, in the numbers of a training step


def step_of_training(weighting: GramWeighting, gradients: np.ndarray, signals_of: Callable[..., Signals]) -> np.ndarray:
    """Returns the step of float32 gradients as training computes it: the Gram matrix in float64, all else in float32."""
    exact = gradients.astype(np.float64)
    weights = weighting.weights(signals_of(np.ones(len(gradients)), gram=exact @ exact.T)).numpy()
    return np.sum(weights[:, None] * gradients, axis=0, dtype=np.float32)


FLOAT32 = {
    "aligned_mtl": AlignedMTL,
    "fairgrad": FairGrad,
    "config": ConFIG,
    "dualproj": DualProj,
    "db_mtl": DBMTL,
    "gradvac": GradVac,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FLOAT32)
def test_float32_adds_a_millionth_of_the_longest_term(name: str, kind: str, signals_of: Callable[..., Signals]) -> None:
    for spread in SPREADS:
        for gradients, _ in gradients_of(kind, spread, (2, 16)):
            rounded = gradients.astype(np.float32)
            step = step_of_training(FLOAT32[name](len(rounded)), rounded, signals_of)
            weights, direction, _ = direction_of(FLOAT32[name](len(rounded)), rounded.astype(np.float64))
            assert np.abs(step - direction).max() < 1e-6 * terms(weights, rounded.astype(np.float64))


@pytest.mark.parametrize("kind", INDEPENDENT)
@pytest.mark.parametrize("spread", SPREADS)
def test_equal_cosines_and_fair_gains_are_left_in_float32(
    spread: int, kind: str, signals_of: Callable[..., Signals]
) -> None:
    for gradients, gap in gradients_of(kind, spread, SIZES):
        if gap < (1e-3 if kind == "against" else 1e-6):
            continue  # beyond what is promised
        rounded, exact = gradients.astype(np.float32), gradients.astype(np.float32).astype(Exact)
        step = step_of_training(ConFIG(len(rounded)), rounded, signals_of).astype(Exact)
        projections = exact @ step / np.sqrt((exact * exact).sum(axis=1))
        assert projections.min() > 0 and np.ptp(projections) < 1e-2 * projections.max()
        if spread > 4:
            continue  # beyond what is promised of FairGrad
        weighting = FairGrad(len(rounded))
        step = step_of_training(weighting, rounded, signals_of).astype(Exact)
        gains = exact @ step
        weights = direction_of(weighting, rounded.astype(np.float64))[0]
        assert (gains > 0).all() and np.abs(gains**2 * weights - 1).max() < 1e-2


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: FairGrad(3, 0.1), "alpha 0.1 must be from 0.5 to 10"),
        (lambda: GradVac(3, 1.5), "beta 1.5 must be from 0 to 1"),
        (lambda: CRMOGM(3, "nash"), "method 'nash' must be one of mgda, pcgrad, cagrad"),
        (lambda: CRMOGM(3, alpha=1.0), "alpha 1.0 from 0 to below 1"),
        (lambda: Krum(2), "2 tasks are too few for outliers 0 or selected 1"),
        (lambda: Krum(4, outliers=1), "4 tasks are too few for outliers 1"),
        (lambda: Krum(3, selected=4), "3 tasks are too few for outliers 0 or selected 4"),
    ],
)
def test_options_out_of_range_are_told(wrong: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrong()  # type: ignore[operator]


# CR-MOGM


@pytest.mark.parametrize("name, method", [("mgda", MGDA), ("pcgrad", lambda size: PCGrad(size, 3)), ("cagrad", CAGrad)])
def test_cr_mogm_averages_its_methods_weights(name: str, method: type[GramWeighting], signals_of: object) -> None:
    weighting, average = CRMOGM(3, name, 0.7, seed=3), np.ones(3)
    for step in range(5):
        gradients = some_gradients(3, step)
        gram = gradients @ gradients.T
        average = 0.7 * average + 0.3 * method(3).solve(gram, np.ones(3), step)
        signals = signals_of([1.0, 1.0, 1.0], step=step, gram=gram)  # type: ignore[operator]
        np.testing.assert_allclose(weighting.weights(signals), average, rtol=1e-5)
        weighting.update(signals)
    np.testing.assert_allclose(weighting.average, average, rtol=1e-5)


# Krum


@pytest.mark.parametrize("size, outliers, selected", [(3, 0, 1), (3, 0, 2), (5, 1, 1), (7, 2, 3), (16, 6, 4), (16, 0, 16)])
def test_krum_is_its_definition_on_the_gradients_themselves(size: int, outliers: int, selected: int) -> None:
    for seed in range(20):
        gradients = some_gradients(size, seed)
        scores = []
        for task in range(size):
            squares = sorted(((gradients[task] - gradients[other]) ** 2).sum() for other in range(size) if other != task)
            scores.append(sum(squares[: size - outliers - 2]))
        weights = solved(Krum(size, outliers, selected), gradients)
        assert set(np.flatnonzero(weights)) == set(np.argsort(scores)[:selected])
        np.testing.assert_allclose(weights[weights > 0], size / selected)


def test_krum_leaves_the_outlier_out() -> None:
    gradients = np.array([[1.0, 0], [1.1, 0.1], [0.9, -0.1], [1, 0.05], [-1e8, 1e8]])
    assert solved(Krum(5, outliers=1, selected=4), gradients).tolist() == [1.25, 1.25, 1.25, 1.25, 0]
