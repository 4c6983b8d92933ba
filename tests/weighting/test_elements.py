"""Methods that combine gradients element by element: by hand, against NumPy, and where gradients are hardest."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from hard_gradients import KINDS, unit_gradients

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import MGDA, ExcessMTL, GradDrop, MoCo, Signals, TrimmedMean
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting
from easytransfer_mtl.weighting.graddrop import sign_dropped
from easytransfer_mtl.weighting.moco import moved_shares
from easytransfer_mtl.weighting.simplex import projected
from easytransfer_mtl.weighting.trimmed_mean import trimmed_sum

J2 = np.array([[-4.0, 1, 1], [6, 1, 1]])
SCALES = (1e-8, 1.0, 1e8)
SIZES = (1, 2, 3, 16)
METHODS: dict[str, Callable[[int], ElementWeighting]] = {
    "graddrop": lambda size: GradDrop(size, seed=3),
    "trimmed_mean": lambda size: TrimmedMean(size, (size - 1) // 2),
    "excess_mtl": lambda size: ExcessMTL(size, 0.5),
    "moco": MoCo,
}
CUT, WIDTH = 4, 25
"""The gradients of a test are those of two variables: [CUT], and what is left, up to WIDTH, as a matrix of one row."""


def built(weighting: ElementWeighting) -> ElementWeighting:
    weighting.build([tf.Variable(tf.zeros(shape)) for shape in ([CUT], [1, WIDTH - CUT])])
    return weighting


def signals(gradients: np.ndarray, step: int = 0) -> Signals:
    rows = np.pad(gradients, ((0, 0), (0, WIDTH - gradients.shape[1]))).astype(np.float32)
    losses = tf.ones(len(rows))
    parts = [tf.constant(rows[:, :CUT]), tf.constant(rows[:, None, CUT:])]
    return Signals(losses, tf.ones_like(losses, tf.bool), tf.constant(step, tf.int64), gradients=parts)


def done(weighting: ElementWeighting, gradients: np.ndarray, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Does a step; returns the combined gradient [n] and the weights."""
    given = signals(gradients, step)
    found = weighting.combine(given)
    weighting.update(given._replace(moved=found.moved))
    assert [part.shape for part in found.gradients] == [part.shape[1:] for part in given.gradients or []]
    combined = np.concatenate([part.numpy().ravel() for part in found.gradients])
    return combined[: gradients.shape[1]], found.weights.numpy()


def hard(sizes: tuple[int, ...] = SIZES) -> Iterator[np.ndarray]:
    """Yields gradients of every kind: near-opposing, equal, of lengths 1e8 apart, in several scales; float32 values."""
    random = np.random.default_rng(0)
    for size in sizes:
        for kind in KINDS if size > 1 else ("random",):
            for spread in (0, 8):
                for scale in SCALES:
                    units = unit_gradients(kind, size, 1e-6, random)
                    units = np.pad(units, ((0, 0), (0, WIDTH - units.shape[1])))
                    units[:, -6:] = random.standard_normal((size, 6)) * (random.random((size, 6)) < 0.5)
                    yield (units * 10.0 ** random.uniform(0, spread, (size, 1)) * scale).astype(np.float32)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_tasks_is_of_no_account(name: str) -> None:
    for gradients in hard((2, 16)):
        order = np.random.default_rng(1).permutation(len(gradients))
        one, other = (built(METHODS[name](len(gradients))) for _ in range(2))
        for step in range(2):
            combined, weights = done(one, gradients, step)
            again, moved = done(other, gradients[order], step)
            np.testing.assert_allclose(moved, weights[order], rtol=2e-5, atol=1e-7)
            np.testing.assert_allclose(again, combined, rtol=0, atol=3e-5 * np.abs(gradients).max(0).max() + 1e-30)


@pytest.mark.parametrize("name", ["graddrop", "trimmed_mean", "excess_mtl"])
def test_a_scale_of_all_gradients_is_the_steps_scale(name: str) -> None:
    for gradients in hard((1, 3)):
        one, other = (built(METHODS[name](len(gradients))) for _ in range(2))
        for step in range(3):
            combined, weights = done(one, gradients, step)
            scaled, same = done(other, gradients * np.float32(2.0**-10), step)
            np.testing.assert_allclose(same, weights, rtol=1e-5)
            np.testing.assert_allclose(scaled * 2.0**10, combined, rtol=1e-5, atol=1e-6 * np.abs(combined).max())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_zero_gradients_give_a_zero_step_and_finite_weights(name: str, size: int) -> None:
    weighting = built(METHODS[name](size))
    for step in range(2):
        combined, weights = done(weighting, np.zeros((size, 9)), step)
        assert not combined.any() and np.isfinite(weights).all()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_shows_in_the_step(name: str, wrong: float) -> None:
    gradients = np.random.default_rng(0).standard_normal((3, 9))
    gradients[1, 5] = wrong
    combined, _ = done(built(METHODS[name](3)), gradients)
    assert not np.isfinite(combined).all()


# GradDrop


@pytest.mark.parametrize(
    ("uniform", "leaks", "step"),
    [(0.5, [0, 0], [6, 2, 2]), (0.7, [0, 0], [-4, 2, 2]), (0.5, [0.5, 0], [4, 2, 2]), (0.7, [0, 1], [2, 2, 2])],
)
def test_graddrop_by_hand(uniform: float, leaks: list[float], step: list[float]) -> None:
    # The purity of the first element is (1 + 2 / 10) / 2 = 0.6, of the others 1.
    found = sign_dropped(tf.constant(J2, tf.float32), tf.fill([3], uniform), tf.constant(leaks, tf.float32))
    np.testing.assert_allclose(found[0], step)
    kept = [18 if leaks[0] == 1 or uniform > 0.6 else 2 + 16 * leaks[0], 38 if leaks[1] == 1 or uniform < 0.6 else 2]
    np.testing.assert_allclose(found[1], kept)
    np.testing.assert_allclose(found[2], [18, 38])


def test_graddrop_is_its_formula_given_the_same_random_numbers() -> None:
    for number, gradients in enumerate(hard()):
        size = len(gradients)
        weighting = GradDrop(size, [0.25] * size, seed=3)
        combined, weights = done(built(weighting), gradients, number)
        step = tf.constant(number, tf.int64)
        uniforms = np.concatenate(
            [np.ravel(weighting.uniforms(place, shape, step)) for place, shape in ((0, [CUT]), (1, [1, WIDTH - CUT]))]
        )
        exact = gradients.astype(np.longdouble)
        sizes = np.abs(exact).sum(0)
        purity = (1 + np.divide(exact.sum(0), sizes, out=np.zeros_like(sizes), where=sizes > 0)) / 2
        sure = np.abs(purity - uniforms) > 1e-6
        kept = np.where((exact > 0) == (purity > uniforms), exact, exact / 4)
        assert sure.mean() > 0.99
        np.testing.assert_allclose(combined[sure], kept.sum(0)[sure].astype(float), rtol=0, atol=2e-6 * np.abs(exact).max())
        if sure.all():
            np.testing.assert_allclose(weights, ((kept * exact).sum(1) / (exact**2).sum(1)).astype(float), rtol=1e-5)


def test_graddrops_expected_step_is_the_sum() -> None:
    for column in ([3.0, -1.0, 0.5], [1.0, 2.0, 0.0], [-1e-8, 2e-8, -3e-8], [1.0, -1.0 + 1e-6, 0.0]):
        count = 40_000
        gradients = tf.constant(np.repeat(np.array(column)[:, None], count, 1), tf.float32)
        uniforms = GradDrop(3, seed=1).uniforms(0, [count], tf.constant(7, tf.int64))
        draws = sign_dropped(gradients, uniforms, tf.zeros(3))[0].numpy()
        assert abs(draws.mean() - sum(column)) <= 5 * draws.std() / np.sqrt(count) + 1e-6 * np.abs(column).max()


def test_graddrop_drops_nothing_where_all_agree() -> None:
    for gradients in hard():
        combined, weights = done(built(METHODS["graddrop"](len(gradients))), -np.abs(gradients))
        np.testing.assert_allclose(combined, -np.abs(gradients).astype(float).sum(0), rtol=1e-6)
        np.testing.assert_allclose(weights, 1)


def test_graddrops_random_numbers_are_the_steps_the_variables_and_the_seeds_own() -> None:
    def drawn(seed: int = 1, place: int = 0, step: int = 4) -> np.ndarray:
        return GradDrop(2, seed=seed).uniforms(place, [50], tf.constant(step, tf.int64)).numpy()

    np.testing.assert_array_equal(drawn(), drawn())
    assert all(not np.array_equal(drawn(), drawn(**other)) for other in ({"seed": 2}, {"place": 1}, {"step": 5}))
    many = GradDrop(2).uniforms(0, [100_000], tf.constant(0, tf.int64)).numpy()
    assert many.min() >= 0 and many.max() < 1 and abs(many.mean() - 0.5) < 0.01


# Trimmed mean


def test_trimmed_mean_by_hand() -> None:
    gradients = np.array([[1.0, -9], [2, 4], [30, 3], [4, -1], [-5, 0]])
    np.testing.assert_allclose(trimmed_sum(tf.constant(gradients, tf.float32), 1)[0], [7, 2])
    np.testing.assert_allclose(trimmed_sum(tf.constant(gradients, tf.float32), 2)[0], [2, 0])
    combined, weights = done(built(TrimmedMean(5, 2)), np.pad(gradients, ((0, 0), (0, 7))))
    np.testing.assert_allclose(combined[:2], [10, 0])  # 5 times the median
    np.testing.assert_allclose(weights, [0, 4 / 20, 0, 0, 0], atol=1e-6)


def test_trimmed_mean_is_the_mean_of_the_middle_of_a_sorted_list() -> None:
    for gradients in hard():
        size = len(gradients)
        for number in {0, min(1, (size - 1) // 2), (size - 1) // 2}:
            combined, _ = done(built(TrimmedMean(size, number)), gradients)
            middle = np.sort(gradients, axis=0)[number : size - number].astype(np.longdouble)
            bound = 1e-6 * size * np.abs(middle).max(0)
            assert (np.abs(combined - size * middle.mean(0)) <= bound).all()


def test_what_is_trimmed_leaves_no_trace() -> None:
    gradients = np.random.default_rng(0).standard_normal((5, 9))
    steps = []
    for outlier in (1e3, 1e30):
        gradients[3] = outlier
        steps.append(done(built(TrimmedMean(5)), gradients)[0])
    np.testing.assert_array_equal(*steps)


@pytest.mark.parametrize(("size", "number"), [(2, 1), (4, 2), (3, -1)])
def test_trimmed_mean_wants_more_tasks_than_it_leaves_out(size: int, number: int) -> None:
    with pytest.raises(UserError, match=f"trimmed_mean: {size} tasks are too few for trim_number {number}; .* Choose"):
        TrimmedMean(size, number)


# ExcessMTL


def test_excess_mtl_by_hand() -> None:
    # Risks: 1 and 1; then 1 / sqrt(2) and 4 / sqrt(5), relative to the first ones.
    weighting = built(ExcessMTL(2, 1.0))
    first, second = np.zeros((2, 9)), np.zeros((2, 9))
    first[:, 2], second[:, 2] = 1, [1, -2]
    np.testing.assert_array_equal(done(weighting, first)[1], [1, 1])
    combined, weights = done(weighting, second, 1)
    wanted = np.exp([1 / np.sqrt(2), 4 / np.sqrt(5)])
    wanted *= 2 / wanted.sum()
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)
    np.testing.assert_allclose(combined[2], wanted @ [1, -2], rtol=1e-6)


@pytest.mark.parametrize("warmup", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_excess_mtl_is_its_equations(size: int, warmup: int) -> None:
    random = np.random.default_rng(size)
    lengths = 10.0 ** random.uniform(-8, 8, (size, 1))
    weighting = built(ExcessMTL(size, 0.7, warmup))
    squares, alpha, risks = np.zeros((size, 25)), np.ones(size), []
    for step in range(8):
        gradients = (random.standard_normal((size, 25)) * lengths * (random.random((size, 25)) < 0.8)).astype(np.float32)
        combined, weights = done(weighting, gradients, step)
        exact = gradients.astype(np.float64)
        squares += exact**2
        root = np.sqrt(squares)
        risks.append((exact**2 / np.where(root > 0, root, 1)).sum(1))
        if step >= warmup:
            alpha *= np.exp(0.7 * risks[-1] / np.mean(risks[:warmup], axis=0))
            alpha *= size / alpha.sum()
        np.testing.assert_allclose(weights, alpha, rtol=2e-5)
        np.testing.assert_allclose(combined, alpha @ exact, atol=2e-5 * np.abs(alpha[:, None] * exact).max())


def test_excess_mtl_is_blind_to_the_scale_of_a_loss() -> None:
    random = np.random.default_rng(0)
    one, other = (built(ExcessMTL(3, 1.0)) for _ in range(2))
    for step in range(6):
        gradients = random.standard_normal((3, 9))
        weights = done(one, gradients, step)[1]
        np.testing.assert_allclose(done(other, gradients * [[1], [1e8], [1e-8]], step)[1], weights, rtol=1e-5)


def test_excess_mtl_stays_finite_when_one_task_takes_all() -> None:
    weighting = built(ExcessMTL(2, 1000.0))
    gradients = np.ones((2, 9))
    for step in range(20):
        gradients[0] *= 2
        combined, weights = done(weighting, gradients, step)
    np.testing.assert_allclose(weights, [2, 0])
    np.testing.assert_allclose(combined, 2 * gradients[0])


# MoCo and the simplex


def test_moco_by_hand() -> None:
    # y: (2, 0), (0, 1); then halfway to (0, 0), (0, 3), with beta 1 / 2 and no decay: (1, 0), (0, 2).
    # lambda: 1/2 - 0.1 (4, 1) / 2 = (0.3, 0.45), plus 0.125 each; then less 0.1 (0.425, 4 * 0.575), plus 0.13625 each.
    weighting = built(MoCo(2, beta=0.5, gamma=0.1, decay=0.0))
    first, second = np.zeros((2, 9)), np.zeros((2, 9))
    first[0, 0], first[1, 1], second[1, 1] = 2, 1, 3
    combined, weights = done(weighting, first)
    np.testing.assert_allclose(weights, [0.85, 1.15], rtol=1e-6)
    np.testing.assert_allclose(combined[:2], [1.7, 1.15], rtol=1e-6)
    combined, weights = done(weighting, second, 1)
    np.testing.assert_allclose(weights, [2 * 0.51875, 2 * 0.48125], rtol=1e-6)
    np.testing.assert_allclose(combined[:2], [2 * 0.51875, 4 * 0.48125], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_moco_is_its_equations(size: int) -> None:
    random = np.random.default_rng(size)
    weighting = built(MoCo(size, 0.6, 0.05, 0.2, 0.5))
    tracked, shares = np.zeros((size, 12)), np.full(size, 1 / size)
    for step in range(8):
        gradients = random.standard_normal((size, 12)).astype(np.float32)
        combined, weights = done(weighting, gradients, step)
        share = 1 if step == 0 else 0.6 / (step + 1) ** 0.5
        tracked += share * (gradients - tracked)
        shares = nearest_on_simplex(shares - 0.05 / (step + 1) ** 0.5 * (tracked @ tracked.T + 0.2 * np.eye(size)) @ shares)
        np.testing.assert_allclose(weights, size * shares, atol=2e-5)
        np.testing.assert_allclose(combined, size * shares @ tracked, atol=2e-5 * size)


def test_moco_comes_to_mgdas_weights_where_gradients_do_not_change() -> None:
    for size in (2, 3, 8):
        gradients = np.random.default_rng(size).standard_normal((size, 9))
        gram = gradients @ gradients.T
        shares = np.full(size, 1 / size)
        for _ in range(20_000):
            shares = moved_shares(shares, gram, np.array(0.02), 0.0).astype(np.float64)
        np.testing.assert_allclose(size * shares, MGDA(size).solve(gram, np.ones(size), 0), atol=1e-4)


def nearest_on_simplex(point: np.ndarray) -> np.ndarray:
    """Finds the level that is subtracted by halving, instead of by sorting."""
    low, high = point.min() - 1.0, point.max()
    for _ in range(200):
        level = (low + high) / 2
        low, high = (level, high) if np.maximum(point - level, 0).sum() > 1 else (low, level)
    return np.maximum(point - high, 0)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e3, 1e16, 1e300])
def test_the_projection_is_the_nearest_point_of_the_simplex(scale: float) -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 3, 16):
        for _ in range(20):
            point = random.standard_normal(size) * scale
            found = projected(point)
            assert (found >= 0).all() and found.sum() == pytest.approx(1, abs=1e-15 * size)
            # Optimal: what is subtracted is one level where the point is above it, and no less elsewhere.
            level = (point - found)[np.argmax(found)]
            assert (np.abs(point - found - level)[found > 0] <= 1e-14 * max(scale, 1)).all()
            assert (point[found == 0] <= level + 1e-14 * max(scale, 1)).all()
            if scale <= 1e3:
                np.testing.assert_allclose(found, nearest_on_simplex(point), atol=1e-11)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: GradDrop(2, [0.5, 1.5]), "graddrop: leaks 0.5, 1.5 must be from 0 to 1"),
        (lambda: ExcessMTL(2, -1.0), "excess_mtl: step_size -1.0 must be 0 or more"),
        (lambda: ExcessMTL(2, 1.0, 0), "warmup_steps 0 1 or more"),
        (lambda: MoCo(2, beta=0.0), "moco: beta 0.0 must be above 0"),
    ],
)
def test_options_out_of_range_are_told(wrong: Callable[[], ElementWeighting], message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrong()


def test_a_method_of_ones_own_has_to_say_how_it_combines() -> None:
    with pytest.raises(NotImplementedError):
        ElementWeighting(2).combine(signals(J2))
    assert Combination([], tf.ones(2)).moved == ()
