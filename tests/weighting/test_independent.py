"""Methods of independent batches: by hand, against general solvers with exact products, and unbiased with noisy ones."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hard_gradients import KINDS, gradients_of
from scipy.optimize import minimize

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import MGDA, MoDo, SDMGrad, Signals
from easytransfer_mtl.weighting.independent import IndependentWeighting

METHODS: dict[str, Callable[[int], IndependentWeighting]] = {
    "modo": lambda size: built(MoDo(size, 0.01)),
    "sdmgrad": lambda size: built(SDMGrad(size)),
}


def built(weighting: IndependentWeighting) -> IndependentWeighting:
    weighting.build([])
    return weighting


def signals(products: np.ndarray) -> Signals:
    losses = tf.ones(len(products))
    given = tf.constant(products, tf.float64)
    return Signals(losses, tf.ones_like(losses, tf.bool), tf.constant(0, tf.int64), products=given)


def settled(weighting: IndependentWeighting, products: np.ndarray, steps: int) -> np.ndarray:
    shares = np.full(weighting.num_tasks, 1 / weighting.num_tasks)
    for _ in range(steps):
        shares = weighting.moved(shares, products)
    return shares


def test_modo_by_hand() -> None:
    # 1/2 - 0.1 ((4, 1; 3, 2) (1/2, 1/2) + 0.5 (1/2, 1/2)) = (0.225, 0.225)
    weighting = built(MoDo(2, gamma=0.1, rho=0.5))
    np.testing.assert_allclose(weighting.weights(signals(np.array([[4.0, 1], [3, 2]]))), [1, 1], rtol=1e-6)
    given = signals(np.array([[4.0, 0], [2, 0]]))  # (0.275, 0.375), plus 0.175 each
    np.testing.assert_allclose(weighting.weights(given), [0.9, 1.1], rtol=1e-6)
    weighting.update(given)
    np.testing.assert_allclose(weighting.shares, [0.45, 0.55], rtol=1e-6)


def test_sdmgrad_by_hand() -> None:
    # Norms 2 and 1, mean 1.5; products / 2.25 times (w + 0.5 / 2) = (0.75, 0.75): (4/3, 1/3); one step of rate 0.3:
    # (0.1, 0.4), plus 0.25 each.
    weighting = built(SDMGrad(2, regularizer=0.5, steps=1, rate=0.3))
    given = signals(np.diag([4.0, 1.0]))
    np.testing.assert_allclose(weighting.weights(given), (2 * np.array([0.35, 0.65]) + 0.5) / 1.5, rtol=1e-6)
    weighting.update(given)
    np.testing.assert_allclose(weighting.shares, [0.35, 0.65], rtol=1e-6)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [0, 8])
def test_weights_are_on_the_simplex_whatever_the_gradients(name: str, kind: str, spread: int) -> None:
    for gradients, _ in gradients_of(kind, spread, (2, 3, 16)):
        size = len(gradients)
        weighting = METHODS[name](size)
        given = signals(gradients @ np.roll(gradients, 1, axis=1).T)
        for _ in range(3):
            weights = weighting.weights(given).numpy()
            assert (weights >= 0).all() and weights.sum() == pytest.approx(size, rel=1e-5)
            weighting.update(given)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_the_order_of_the_tasks_is_of_no_account(name: str, size: int) -> None:
    random = np.random.default_rng(size)
    products, order = random.standard_normal((size, size)), random.permutation(size)
    weights = METHODS[name](size).weights(signals(products)).numpy()
    moved = METHODS[name](size).weights(signals(products[np.ix_(order, order)])).numpy()
    np.testing.assert_allclose(moved, weights[order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(METHODS[name](size).weights(signals(np.zeros((size, size)))), 1)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_with_exact_products_modo_comes_to_mgdas_weights(size: int) -> None:
    for seed in range(3):
        gradients = np.random.default_rng(seed).standard_normal((size, 12))
        products = gradients @ gradients.T
        found = size * settled(MoDo(size, 0.02, 0.0), products, 20_000)
        np.testing.assert_allclose(found, MGDA(size).solve(products, np.ones(size), 0), atol=1e-6)


@pytest.mark.parametrize("regularizer", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_with_exact_products_sdmgrad_minimises_its_objective(regularizer: float, scale: float) -> None:
    for size in (2, 3, 8):
        gradients = np.random.default_rng(size).standard_normal((size, 12))
        gram = gradients @ gradients.T
        found = settled(SDMGrad(size, regularizer), gram * scale**2, 30)
        center = np.full(size, regularizer / size)
        best = minimize(
            lambda w: (w + center) @ gram @ (w + center),  # noqa: B023
            np.full(size, 1 / size),
            jac=lambda w: 2 * gram @ (w + center),  # noqa: B023
            bounds=[(0, 1)] * size,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-15},
        ).x
        np.testing.assert_allclose(found, best, atol=1e-5)


def test_sdmgrads_own_rate_settles_and_the_authors_does_not() -> None:
    """The docstring's claim, for gradients of one length that hardly agree."""
    random = np.random.default_rng(0)
    units = np.eye(3, 40) + 0.1 * random.standard_normal((3, 40))
    gram = units @ units.T
    apart = {}
    for rate in (0.5, 5.0):
        states = [settled(SDMGrad(3, 0.3, steps=20 + more, rate=rate), gram, 1) for more in range(6)]
        apart[rate] = np.ptp(states, axis=0).max()
    assert apart[0.5] < 0.01 < 0.2 < apart[5.0]


def test_two_batches_are_unbiased_where_one_is_not() -> None:
    """The reason for both methods: noise adds to the products of one batch's gradients, not to those of two."""
    random = np.random.default_rng(0)
    mean = np.array([[1.0, 0, 0], [0, 2.0, 0]])
    noisy = [mean + random.standard_normal((2, 2, 3)) * [[[3.0]], [[0.0]]] for _ in range(20_000)]
    twice = np.mean([one[0] @ other[0].T for one, other in zip(noisy, noisy[1:])], axis=0)
    once = np.mean([one[0] @ one[0].T for one in noisy], axis=0)
    np.testing.assert_allclose(twice, mean @ mean.T, atol=0.2)
    assert once[0, 0] > 20


@pytest.mark.parametrize("name", METHODS)
def test_products_that_are_no_numbers_give_no_weights(name: str) -> None:
    assert np.isnan(METHODS[name](2).weights(signals(np.array([[1.0, np.nan], [0, 1]])))).all()


def test_noise_beyond_all_norms_leaves_sdmgrad_where_it_is() -> None:
    np.testing.assert_array_equal(built(SDMGrad(2)).weights(signals(-np.eye(2))), [1, 1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MoDo(2, -1.0), "modo: gamma -1.0"),
        (lambda: SDMGrad(2, -0.1), "lambda -0.1"),
        (lambda: SDMGrad(2, 1, 0), "steps 0"),
    ],
)
def test_options_out_of_range_are_told(wrong: Callable[[], IndependentWeighting], message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrong()


def test_the_base_class_has_no_way_of_its_own() -> None:
    with pytest.raises(NotImplementedError):
        IndependentWeighting(2).moved(np.ones(2), np.eye(2))
