"""Methods of the Gram matrix: published numbers, and the properties that each promises, for any number of tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.weighting import (
    CRMOGM,
    DBMTL,
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradVac,
    Nash,
    PCGrad,
    UPGrad,
)
from easytransfer_mtl.weighting.gram import GramWeighting, least_norm_weights
from easytransfer_mtl.weighting.pcgrad import projected_sum

J2 = np.array([[-4.0, 1, 1], [6, 1, 1]])
J3 = np.array([[-4.0, 1, 1, 0], [6, 1, 1, 0], [0, -2, 1, 3]])
J3B = np.array([[1.0, 0, 0], [0, 2, 0], [-1, -1, 3]])
METHODS: dict[str, Callable[[int], GramWeighting]] = {
    "mgda": MGDA,
    "mgda l2": lambda size: MGDA(size, "l2"),
    "imtl_g": IMTLG,
    "pcgrad": lambda size: PCGrad(size, seed=0),
    "cagrad": CAGrad,
    "nash": lambda size: Nash(size, max_norm=0),
    "upgrad": UPGrad,
    "aligned_mtl": AlignedMTL,
    "fairgrad": FairGrad,
    "fairgrad 1": lambda size: FairGrad(size, 1.0),
    "fairgrad 10": lambda size: FairGrad(size, 10.0),
    "db_mtl": DBMTL,
    "config": ConFIG,
    "dualproj": DualProj,
    "gradvac": GradVac,
    "cr_mogm": CRMOGM,
}
SIMPLEX = ("mgda", "mgda l2", "cr_mogm")
NON_CONFLICTING = (
    "mgda",
    "mgda l2",
    "upgrad",
    "nash",
    "fairgrad",
    "fairgrad 1",
    "fairgrad 10",
    "config",
    "dualproj",
    "cr_mogm",
)
ONE_OR_MORE = ("pcgrad", "upgrad", "dualproj", "gradvac")
SIGNED = ("imtl_g", "aligned_mtl", "config")
"""Methods whose weights may be negative."""

IN_RANDOM_ORDER = ("pcgrad", "gradvac")
UNSOLVABLE_IF_CANCELLING = ("nash", "fairgrad", "fairgrad 1", "fairgrad 10", "config")
SHORTENED = {"nash": 1.0, "fairgrad": 4 / 3, "fairgrad 1": 1.0, "fairgrad 10": 20 / 11}
"""How the weights fall with the scale of all gradients: the power of its inverse, for others 0."""

IN_ORDER = [np.arange(3)] * 3


def solved(method: str | GramWeighting, gradients: np.ndarray) -> np.ndarray:
    weighting = METHODS[method](len(gradients)) if isinstance(method, str) else method
    return weighting.solve(gradients @ gradients.T, np.ones(len(gradients)), 0)


def random_gradients(size: int, seed: int) -> np.ndarray:
    """Conflicting gradients of different lengths; every third set is rank-deficient."""
    random = np.random.default_rng(1000 * size + seed)
    dimensions = max(1, size - 1) if seed % 3 == 2 else size + 4
    return random.standard_normal((size, dimensions)) * 10.0 ** random.uniform(-1, 1, (size, 1))


def golden(weights: list[float], direction: list[float] | None = None) -> Any:
    return np.array(weights), None if direction is None else np.array(direction)


@pytest.mark.parametrize(
    "gradients, weighting, scale, expected",
    [
        (J2, MGDA(2), 2, golden([0.6, 0.4], [0, 1, 1])),
        (J2, PCGrad(2, 0), 1, golden([2.22222, 1.57895], [0.5848, 3.8012, 3.8012])),
        (J2, IMTLG(2), 2, golden([0.59233, 0.40767], [0.0767, 1, 1])),
        (J2, CAGrad(2, 0.5), 2, golden([0.70412, 0.5], [0.1835, 1.2041, 1.2041])),
        (J2, CAGrad(2, 0.4), 2, golden([0.6633, 0.5], [0.3468, 1.1633, 1.1633])),
        (J2, Nash(2), 1, golden([0.59146, 0.40707], [0.07658, 0.99853, 0.99853])),
        (J2, UPGrad(2), 2, golden([1.11111, 0.78947], [0.2924, 1.9006, 1.9006])),
        (J3, MGDA(3), 3, golden([1 / 2, 1 / 3, 1 / 6], [0, 0.5, 1, 0.5])),
        (J3, IMTLG(3), 3, golden([0.50722, 0.34816, 0.14462], [0.06006, 0.56613, 1, 0.43387])),
        (J3, CAGrad(3, 0.4), 3, golden([0.48074, 1 / 3, 1 / 3], [0.07704, 0.14741, 1.14741, 1])),
        (J3, CAGrad(3, 0.5), 3, golden([0.57321, 0.38214, 1 / 3], [0, 0.28868, 1.28868, 1])),
        (J3, Nash(3), 1, golden([0.64012, 0.43870, 0.30855], [0.07172, 0.46172, 1.38738, 0.92566])),
        (J3, UPGrad(3), 3, golden([0.84369, 0.59397, 0.42412], [0.18907, 0.58943, 1.86178, 1.27236])),
        (J3B, MGDA(3), 3, golden([0.65714, 0.2, 0.14286])),
        (J3B, IMTLG(3), 3, golden([0.53437, 0.26719, 0.19844])),
        (J3B, Nash(3), 1, golden([1.2407, 0.62035, 0.43471])),
        (J3B, UPGrad(3), 3, golden([0.73333, 0.51667, 0.43333])),
        (J3B, CAGrad(3, 0.4), 3, golden([0.75497, 1 / 3, 1 / 3])),
        (J2, AlignedMTL(2), 2, golden([0.55907, 0.40826], [0.21328, 0.96733, 0.96733])),
        (J3, AlignedMTL(3), 3, golden([0.38744, 0.28184, 0.20194], [0.14127, 0.26538, 0.87122, 0.60583])),
        (J3B, AlignedMTL(3), 3, golden([0.36488, 0.19383, 0.14448])),
        (J2, FairGrad(2, 1.0), 1, golden([0.59146, 0.40707], [0.07658, 0.99853, 0.99853])),
        (J3, FairGrad(3, 1.0), 1, golden([0.64012, 0.43870, 0.30855], [0.07172, 0.46172, 1.38738, 0.92566])),
        (J3B, FairGrad(3, 1.0), 1, golden([1.2407, 0.62035, 0.43471])),
    ],
)
def test_golden_weights_and_directions(
    gradients: np.ndarray, weighting: GramWeighting, scale: float, expected: tuple[np.ndarray, np.ndarray | None]
) -> None:
    weights = solved(weighting, gradients) / scale
    np.testing.assert_allclose(weights, expected[0], atol=6e-5)
    if expected[1] is not None:
        np.testing.assert_allclose(weights @ gradients, expected[1], atol=6e-5)


@pytest.mark.parametrize("gradients, expected", [(J3, [2.27778, 1.63743, 1.27151]), (J3B, [2.0, 1.5, 1.27273])])
def test_golden_pcgrad_of_one_order(gradients: np.ndarray, expected: list[float]) -> None:
    weights = projected_sum(gradients @ gradients.T, IN_ORDER)
    np.testing.assert_allclose(weights, expected, atol=6e-6)
    if gradients is J3:
        np.testing.assert_allclose(weights @ J3, [0.71345, 1.37218, 5.18672, 3.81454], atol=6e-5)
        first = [solved(PCGrad(3, seed), J3)[0] for seed in range(30)]
        assert 2.27777 < min(first) and max(first) < 2.31392 and len({round(value, 9) for value in first}) > 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_any_number_of_tasks_gives_finite_weights_and_simplex_ones_sum_to_it(method: str, size: int) -> None:
    for seed in range(12):
        weights = solved(method, random_gradients(size, seed))
        assert weights.shape == (size,) and np.isfinite(weights).all()
        if method in SIMPLEX:
            assert (weights >= 0).all()
        if method in SIMPLEX or method == "imtl_g":
            np.testing.assert_allclose(weights.sum(), size, rtol=1e-9)
        if method in ONE_OR_MORE:
            assert (weights >= 1 - 1e-9).all()


@pytest.mark.parametrize("method", [name for name in METHODS if name not in IN_RANDOM_ORDER])
@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_direction_does_not_depend_on_the_tasks_order(method: str, size: int) -> None:
    for seed in range(12):
        gradients = random_gradients(size, seed)
        order = np.random.default_rng(seed).permutation(size)
        there, back = solved(method, gradients) @ gradients, solved(method, gradients[order]) @ gradients[order]
        np.testing.assert_allclose(back, there, atol=2e-5 * np.abs(gradients).max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-10, 1e-5, 1e3, 1e5, 1e10, 1e15])
def test_scaling_all_gradients_scales_the_step_or_shortens_the_weights(method: str, scale: float) -> None:
    for gradients in (J2, J3, J3B, random_gradients(5, 1)):
        expected = solved(method, gradients) / scale ** SHORTENED.get(method, 0.0)
        np.testing.assert_allclose(solved(method, scale * gradients), expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 3, 16])
def test_zero_gradients_weigh_alike(method: str, size: int) -> None:
    np.testing.assert_allclose(solved(method, np.zeros((size, 4))), np.ones(size), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_one_zero_gradient_leaves_finite_weights(method: str) -> None:
    weights = solved(method, np.array([[1.0, 2, 0], [0, 0, 0], [2, -1, 1]]))
    assert np.isfinite(weights).all() and (weights >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_equal_gradients_share_their_weight(method: str) -> None:
    weights = solved(method, np.array([[1.0, 2], [1, 2], [1, 2]]))
    np.testing.assert_allclose(weights, weights[0], rtol=1e-4)
    assert weights[0] > 0


@pytest.mark.parametrize("method", NON_CONFLICTING)
@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_no_loss_rises_along_the_step(method: str, size: int) -> None:
    for seed in range(12):
        if method in UNSOLVABLE_IF_CANCELLING and seed % 3 == 2:
            continue  # where the gradients can cancel their equations have no solution
        gradients = random_gradients(size, seed)
        direction = solved(method, gradients) @ gradients
        lengths = np.linalg.norm(gradients, axis=1) * max(np.linalg.norm(direction), np.abs(gradients).max())
        assert (gradients @ direction / lengths >= -1e-6).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_rounded_and_singular_matrices_of_training_give_sound_weights(method: str, size: int) -> None:
    for seed in range(12):
        gradients = random_gradients(size, seed)
        if seed % 2:
            gradients[-1] = -gradients[:-1].sum(axis=0)  # they cancel
        else:
            gradients[-1] = gradients[0]
        gram = (gradients.astype(np.float32) @ gradients.astype(np.float32).T).astype(np.float64)
        weights = METHODS[method](size).solve(gram, np.ones(size), 0)
        assert np.isfinite(weights).all()
        if method not in SIGNED:
            assert (weights >= 0).all()
        if method in ("mgda", "mgda l2", "upgrad", "dualproj", "cr_mogm"):
            direction = weights @ gradients
            lengths = np.linalg.norm(gradients, axis=1) * np.abs(weights[:, None] * gradients).max()
            assert (gradients @ direction / lengths >= -2e-3).all()


def test_imtl_g_of_equal_gradients_is_the_same_in_float32_and_float64() -> None:
    for seed in range(30):
        gradients = np.random.default_rng(seed).standard_normal((3, 50))
        gradients[2] = gradients[0]
        rounded = (gradients.astype(np.float32) @ gradients.astype(np.float32).T).astype(np.float64)
        exact = IMTLG(3).solve(gradients @ gradients.T, np.ones(3), 0)
        np.testing.assert_allclose(IMTLG(3).solve(rounded, np.ones(3), 0), exact, rtol=1e-3)


def test_upgrads_step_grows_in_proportion_to_each_gradient() -> None:
    for seed in (0, 1, 3, 4):
        gradients = random_gradients(3, seed)

        def step(scale: float, gradients: np.ndarray = gradients) -> np.ndarray:
            """The step with the first gradient scaled: a straight line in the scale (linear under scaling)."""
            scaled = gradients * np.array([[scale], [1.0], [1.0]])
            return solved("upgrad", scaled) @ scaled

        np.testing.assert_allclose(step(2.0) - step(1.0), (step(5.0) - step(2.0)) / 3, rtol=1e-4, atol=1e-6)


def test_pcgrad_passes_over_a_gradient_that_vanishes() -> None:
    assert np.isfinite(projected_sum(np.array([[1.0, -1e-30], [-1e-30, 0.0]]), [np.array([1]), np.array([0])])).all()


@pytest.mark.parametrize("method", ["upgrad", "pcgrad", "cagrad", "dualproj", "gradvac"])
def test_gradients_that_agree_are_summed_or_nearly(method: str) -> None:
    gradients = np.array([[1.0, 0.2, 0], [0.5, 1, 0], [0.4, 0, 2]])
    weights = solved(method, gradients)
    if method == "cagrad":
        assert (weights >= 1).all()
    else:
        np.testing.assert_allclose(weights, 1, rtol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_mgda_is_optimal(size: int) -> None:
    for seed in range(20):
        gradients = random_gradients(size, seed)
        gram = gradients @ gradients.T
        weights = least_norm_weights(gram)
        least, slopes = weights @ gram @ weights, gram @ weights
        tolerance = 1e-9 * np.diag(gram).max()
        assert (slopes >= least - tolerance).all()
        np.testing.assert_allclose(slopes[weights > 1e-9], least, atol=tolerance)


def test_mgda_of_two_tasks_is_the_closed_form() -> None:
    for seed in range(50):
        one, other = random_gradients(2, seed)
        share = np.clip((other - one) @ other / ((one - other) @ (one - other)), 0, 1)
        np.testing.assert_allclose(solved("mgda", np.array([one, other])) / 2, [share, 1 - share], atol=1e-9)


@pytest.mark.parametrize("normalization, divisors", [("l2", "norms"), ("loss", "losses"), ("loss+", "both")])
def test_mgda_normalisation_is_that_of_the_divided_gradients(normalization: str, divisors: str) -> None:
    losses, norms = np.array([2.5, 1.0, 0.3]), np.linalg.norm(J3, axis=1)
    by = {"norms": norms, "losses": losses, "both": norms * losses}[divisors]
    weights = MGDA(3, normalization).solve(J3 @ J3.T, losses, 0)
    expected = least_norm_weights((J3 / by[:, None]) @ (J3 / by[:, None]).T) / by
    np.testing.assert_allclose(weights, 3 * expected / expected.sum(), rtol=1e-6)
    assert (J3 @ (weights @ J3) >= -1e-9).all()
    zero_loss = MGDA(3, normalization).solve(J3 @ J3.T, np.array([2.5, 0.0, 0.3]), 0)
    assert np.isfinite(zero_loss).all()


@pytest.mark.parametrize("size", [2, 3, 5])
def test_imtl_g_goes_equally_far_along_every_gradient_and_ignores_scales(size: int) -> None:
    for seed in (0, 1, 3, 4):
        gradients = random_gradients(size, seed)
        direction = solved("imtl_g", gradients) @ gradients
        projections = gradients @ direction / np.linalg.norm(gradients, axis=1)
        np.testing.assert_allclose(projections, projections[0], rtol=1e-6)
        rescaled = gradients * np.linspace(0.1, 7, size)[:, None]
        other = solved("imtl_g", rescaled) @ rescaled
        cosine = direction @ other / np.linalg.norm(direction) / np.linalg.norm(other)
        np.testing.assert_allclose(abs(cosine), 1, rtol=1e-9)


def test_imtl_g_of_two_tasks_is_the_closed_form() -> None:
    one, other = np.linalg.norm(J2, axis=1)
    np.testing.assert_allclose(solved("imtl_g", J2), 2 * np.array([other, one]) / (one + other), rtol=1e-9)


def test_pcgrad_of_two_tasks_conflicts_with_neither_and_is_upgrad() -> None:
    for seed in range(20):
        gradients = random_gradients(2, seed)
        if gradients[0] @ gradients[1] < 0 and seed % 3 != 2:
            direction = solved("pcgrad", gradients) @ gradients
            assert (gradients @ direction >= -1e-9).all()
            np.testing.assert_allclose(solved("upgrad", gradients) @ gradients, direction, rtol=1e-6, atol=1e-9)


def test_pcgrad_projects_to_non_conflict_with_the_last_and_never_lengthens() -> None:
    gram, lengths = J3 @ J3.T, np.linalg.norm(J3, axis=1)
    for task in range(3):
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
            weights = projected_sum(gram, [np.array(order) if i == task else np.array([], int) for i in range(3)])
            weights = weights - np.delete(np.eye(3), task, axis=0).sum(axis=0)  # the others as they are
            turned = weights @ J3
            last = [other for other in order if other != task][-1]
            assert turned @ J3[last] >= -1e-9 and np.linalg.norm(turned) <= lengths[task] + 1e-9


def test_pcgrad_orders_follow_seed_and_step() -> None:
    gram = J3 @ J3.T
    draws = [PCGrad(3, 1).solve(gram, np.ones(3), step).tolist() for step in range(20)]
    assert draws == [PCGrad(3, 1).solve(gram, np.ones(3), step).tolist() for step in range(20)]
    assert len(set(map(tuple, draws))) > 1


@pytest.mark.parametrize("c", [0.0, 0.1, 0.4, 0.5, 0.9])
@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_cagrad_is_optimal_within_its_ball(c: float, size: int) -> None:
    random = np.random.default_rng(size)
    for seed in range(8):
        gradients = random_gradients(size, seed)
        mean = gradients.mean(axis=0)
        direction = solved(CAGrad(size, c), gradients) @ gradients / size
        radius = c * np.linalg.norm(mean)
        distance = np.linalg.norm(direction - mean)
        assert distance <= radius * (1 + 1e-6) + 1e-12
        least = (gradients @ direction).min()
        for _ in range(200):  # no other direction in the ball serves the worst-off task better
            push = random.standard_normal(gradients.shape[1])
            other = mean + radius * push / np.linalg.norm(push)
            assert (gradients @ other).min() <= least + 1e-6 * np.abs(gradients @ gradients.T).max()
        if c == 0:
            np.testing.assert_allclose(direction, mean, atol=1e-12)
        elif np.linalg.norm(solved("mgda", gradients) @ gradients) > 1e-3:
            np.testing.assert_allclose(distance, radius, rtol=1e-6)


@pytest.mark.parametrize("rescale, divisor", [("none", 1), ("1+c", 1.4), ("1+c^2", 1.16)])
def test_cagrad_rescales(rescale: str, divisor: float) -> None:
    np.testing.assert_allclose(solved(CAGrad(3, 0.4, rescale), J3), solved(CAGrad(3), J3) / divisor, rtol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_nash_solves_its_equation_whatever_the_scales(size: int) -> None:
    for seed in (0, 1, 3, 4, 6):
        gradients = random_gradients(size, seed)
        weights = solved("nash", gradients)
        assert (weights > 0).all()
        np.testing.assert_allclose(gradients @ gradients.T @ weights * weights, 1, rtol=1e-4)
        direction = weights @ gradients
        np.testing.assert_allclose(direction @ direction, size, rtol=1e-4)
        rescaled = gradients * np.linspace(0.1, 7, size)[:, None]
        np.testing.assert_allclose(solved("nash", rescaled) @ rescaled, direction, rtol=1e-4, atol=1e-7)


def test_nash_of_two_tasks_is_the_closed_form() -> None:
    cosine = J2[0] @ J2[1] / np.prod(np.linalg.norm(J2, axis=1))
    weights = 1 / (np.linalg.norm(J2, axis=1) * np.sqrt(1 + cosine))
    np.testing.assert_allclose(solved("nash", J2), weights, rtol=1e-6)


@pytest.mark.parametrize("max_norm, length", [(0.0, 2**0.5), (1.0, 1.0), (0.3, 0.3), (9.0, 2**0.5)])
def test_nash_is_shortened(max_norm: float, length: float, signals_of: Callable[..., Any]) -> None:
    direction = Nash(2, max_norm).weights(signals_of([1.0, 1.0], gram=J2 @ J2.T)).numpy() @ J2
    np.testing.assert_allclose(np.linalg.norm(direction), length, rtol=1e-5)
    if max_norm == 1:
        np.testing.assert_allclose(direction, [0.0542, 0.7061, 0.7061], atol=6e-5)


def test_nash_keeps_its_weights_between_updates(signals_of: Callable[..., Any]) -> None:
    weighting, first, second = Nash(2, max_norm=0, update_every=2), J2 @ J2.T, np.diag([2.0, 5.0])
    seen = []
    for step, gram in enumerate([first, second, second]):
        signals = signals_of([1.0, 1.0], step=step, gram=gram)
        seen.append(weighting.weights(signals).numpy())
        weighting.update(signals)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.allclose(seen[1], seen[2])


@pytest.mark.parametrize("method", METHODS)
def test_weights_in_a_graph_are_the_solvers_and_not_a_number_where_the_gram_matrix_is(
    method: str, signals_of: Callable[..., Any]
) -> None:
    weighting = METHODS[method](3)
    weights = tf.function(weighting.weights, autograph=False)(signals_of([2.5, 1.0, 0.3], gram=J3 @ J3.T))
    assert weights.dtype == tf.float32 and weights.shape == (3,)
    expected = weighting.solve(J3 @ J3.T, np.array([2.5, 1.0, 0.3]), 0)
    expected = 0.9 + 0.1 * expected if method == "cr_mogm" else expected
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    broken = J3 @ J3.T
    broken[1, 1] = np.inf
    assert np.isnan(weighting.weights(signals_of([2.5, 1.0, 0.3], gram=broken))).all()
