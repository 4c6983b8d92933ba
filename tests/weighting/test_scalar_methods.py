"""Methods of the losses alone, and GradNorm and FAMO: formulas, invariants, state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import (
    CRMOGM,
    DTP,
    DWA,
    FAMO,
    GLS,
    IMTLL,
    RLW,
    STCH,
    UWSO,
    Equal,
    Fixed,
    GradNorm,
    GradVac,
    TaskWeighting,
    Uncertainty,
)
from easytransfer_mtl.weighting.learned import LearnedVector

Signal = Callable[..., Any]
J3 = np.array([[-4.0, 1, 1, 0], [6, 1, 1, 0], [0, -2, 1, 3]])


def state_of(weighting: TaskWeighting) -> list[np.ndarray]:
    return [variable.numpy() for variable in weighting.variables]


def test_equal_and_fixed_ones_are_the_same_and_sum_to_the_number_of_tasks(signals_of: Signal) -> None:
    for weighting in (Equal(3), Fixed([1.0, 1.0, 1.0])):
        weights = weighting.weights(signals_of([2.0, 0.0, 0.0], [True, False, False]))
        assert weights.dtype == tf.float32 and not weighting.variables
        np.testing.assert_array_equal(weights, [1, 1, 1])


def test_fixed_weights_are_used_as_given_and_never_move(signals_of: Signal) -> None:
    weighting = Fixed([3.0, 1.0, 0.5])
    np.testing.assert_array_equal(weighting.weights(signals_of([2.0, 0.0, 0.0])), [3, 1, 0.5])
    weighting.update(signals_of([2.0, 0.0, 0.0]))
    np.testing.assert_array_equal(weighting.weights(signals_of([200.0, 1.0, 0.0])), [3, 1, 0.5])


@pytest.mark.parametrize(
    "weights", [[-1.0, 1.0, 1.0], [float("nan"), 1.0, 1.0], [float("inf"), 1.0, 1.0], [0.0, 0.0, 0.0], []]
)
def test_fixed_weights_must_be_finite_not_negative_and_not_all_zero(weights: list[float]) -> None:
    with pytest.raises(UserError, match="finite, not negative, and not all zero"):
        Fixed(weights)


def test_learned_vector_is_adam_and_leaves_idle_tasks_alone() -> None:
    vector, twin = LearnedVector([0.5, 0.5], 0.1), LearnedVector([0.5], 0.1)
    reference = tf.Variable([0.5])
    import tf_keras

    adam = tf_keras.optimizers.Adam(0.1, epsilon=1e-8, jit_compile=False)
    for step in range(6):
        gradient = np.float32(np.sin(step + 1.0))
        vector.descend(tf.constant([gradient, 9.0]), tf.constant([True, step % 2 == 0]))
        if step % 2 == 0:
            twin.descend(tf.constant([9.0]), tf.constant([True]))
        adam.apply_gradients([(tf.constant([gradient]), reference)])
    np.testing.assert_allclose(vector.value[0], reference[0], rtol=1e-5)
    assert vector.value.numpy()[1] == twin.value.numpy()[0]


@pytest.mark.parametrize("form", ["classification", "regression", "revised"])
def test_uncertainty_goes_down_the_gradient_of_its_objective(form: str, signals_of: Signal) -> None:
    start, losses = 0.3, np.array([2.0, 0.5, 1.2])
    weighting = Uncertainty(3, form, start, learning_rate=0.1)
    s, loss = tf.Variable([start] * 3), tf.constant(losses, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(loss)
        objective = {
            "classification": tf.exp(-s) * loss + 0.5 * s,
            "regression": 0.5 * tf.exp(-s) * loss + 0.5 * s,
            "revised": loss / (2 * tf.exp(s)) + tf.math.log(1 + tf.exp(s)),
        }[form]
        total = tf.reduce_sum(objective)
    np.testing.assert_allclose(weighting.weights(signals_of(losses)), tape.gradient(total, loss), rtol=1e-6)
    seen = []
    weighting.log_variance.descend = lambda gradient, active: seen.append(gradient.numpy())  # type: ignore[method-assign]
    weighting.update(signals_of(losses))
    np.testing.assert_allclose(seen[0], tape.gradient(total, s), rtol=1e-5)


@pytest.mark.parametrize(
    "form, at_rest", [("classification", 1 / (2 * 2.0)), ("regression", 1 / (2 * 2.0)), ("revised", 1 / (2 * 1.6180340))]
)
def test_uncertainty_comes_to_rest_where_the_paper_says(form: str, at_rest: float, signals_of: Signal) -> None:
    weighting = Uncertainty(2, form)
    update = tf.function(weighting.update, autograph=False)
    for step in range(1500):
        update(signals_of([2.0, 0.0], [True, False], step=step))
    weights = weighting.weights(signals_of([2.0, 0.0])).numpy()
    np.testing.assert_allclose(weights[0], at_rest, rtol=1e-3)
    np.testing.assert_allclose(weighting.log_variance.value.numpy()[1], 0.0, atol=0)  # never trained, never moved


def test_uncertainty_has_a_form_for_each_task(signals_of: Signal) -> None:
    forms, losses = ["classification", "regression", "revised"], [2.0, 0.5, 1.2]
    mixed, alone = Uncertainty(3, forms), [Uncertainty(3, form) for form in forms]
    for step in range(20):
        weights = mixed.weights(signals_of(losses, step=step)).numpy()
        for place, weighting in enumerate(alone):
            assert weighting.weights(signals_of(losses)).numpy()[place] == weights[place]
        for weighting in (mixed, *alone):
            weighting.update(signals_of(losses, step=step))
    with pytest.raises(UserError, match="form 'other' is unknown"):
        Uncertainty(2, ["classification", "other"])


def test_imtl_l_brings_weighted_losses_to_one(signals_of: Signal) -> None:
    weighting, losses = IMTLL(3), np.array([2.0, 0.5, 0.0])
    update = tf.function(weighting.update, autograph=False)
    for step in range(1500):
        update(signals_of(losses, [True, True, False], step=step))
    weights = weighting.weights(signals_of(losses)).numpy()
    np.testing.assert_allclose(weights * losses, [1, 1, 0], rtol=1e-3)
    assert weights[2] == 1.0


def test_dwa_is_one_for_two_epochs_and_then_the_papers(signals_of: Signal) -> None:
    weighting = DWA(2, steps_per_epoch=3)
    epochs = [[1.0, 1.0], [1.0, 4.0], [1.0, 4.0]]
    for step in range(9):
        signals = signals_of(np.array(epochs[step // 3]) * [0.5, 1, 1.5][step % 3], step=step)
        weights = weighting.weights(signals).numpy()
        np.testing.assert_allclose(weights.sum(), 2, rtol=1e-6)
        expected = [1, 1] if step < 6 else 2 * np.exp([0.5, 2]) / np.exp([0.5, 2]).sum()
        np.testing.assert_allclose(weights, expected, rtol=1e-5)
        weighting.update(signals)
    np.testing.assert_allclose(2 * np.exp([0.5, 2]) / np.exp([0.5, 2]).sum(), [0.365, 1.635], atol=5e-4)


def test_dwa_ends_an_epoch_whose_last_step_was_left_out(signals_of: Signal) -> None:
    weighting = DWA(1, steps_per_epoch=3)
    for step, loss in ((0, 4.0), (1, 2.0), (3, 1.0), (4, 3.0), (5, 2.0)):  # not the third
        weighting.update(signals_of([loss], step=step))
    assert weighting.mean_before.numpy() == pytest.approx(7 / 3) and weighting.last_mean.numpy() == pytest.approx(2.5)


def test_dwa_ignores_scales_and_an_infinite_temperature_gives_ones(signals_of: Signal) -> None:
    found = []
    for scale, temperature in ((1.0, 2.0), (100.0, 2.0), (1.0, 1e9)):
        weighting = DWA(3, steps_per_epoch=1, temperature=temperature)
        for step, losses in enumerate([[2.0, 1.0, 3.0], [1.0, 1.0, 2.9]]):
            weighting.update(signals_of(np.array(losses) * [scale, 1, 1], step=step))
        found.append(weighting.weights(signals_of([1.0, 1.0, 1.0])).numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    np.testing.assert_allclose(found[2], 1, rtol=1e-6)


def test_dwa_counts_each_task_apart_and_an_epoch_without_it_keeps_its_mean(signals_of: Signal) -> None:
    weighting = DWA(2, steps_per_epoch=2)
    first, second = [True, False], [False, True]
    for step, (loss, active) in enumerate([(4.0, first), (2.0, second), (3.0, first), (1.0, first), (9.0, second)]):
        weighting.update(signals_of(np.where(active, loss, 0.0), active, step=step))
    np.testing.assert_allclose(weighting.last_mean, [2.0, 2.0])
    np.testing.assert_allclose(weighting.mean_before, [4.0, 0.0])
    np.testing.assert_allclose(
        weighting.weights(signals_of([1.0, 1.0])), 2 * np.exp([0.25, 0.5]) / np.exp([0.25, 0.5]).sum(), rtol=1e-5
    )


@pytest.mark.parametrize("kappa, weight", [(1 / 15, 2.53), (0.33, 0.74), (0.6, 0.20)])
def test_dtp_weights_are_the_papers(kappa: float, weight: float, signals_of: Signal) -> None:
    np.testing.assert_allclose(DTP([kappa]).weights(signals_of([1.0])).numpy(), [weight], atol=6e-3)


def test_dtp_falls_with_the_indicator_and_is_bounded(signals_of: Signal) -> None:
    signals = signals_of([1.0] * 101)
    weights = DTP([0.5] * 101, indicators=np.linspace(0, 1, 101).tolist()).weights(signals).numpy()
    assert (
        np.isfinite(weights).all() and (np.diff(weights[5:100]) < 0).all() and weights[0] == weights[5] and weights[-1] > 0
    )
    plain = DTP([0.5, 0.2], gamma=[0.0, 0.0]).weights(signals_of([1.0, 1.0])).numpy()
    np.testing.assert_allclose(plain, -np.log([0.5, 0.2]), rtol=1e-6)
    alike = DTP([0.4, 0.4], gamma=[2.0, 2.0]).weights(signals_of([1.0, 9.0])).numpy()
    assert alike[0] == alike[1]
    np.testing.assert_allclose(
        DTP([0.5, 0.2, 0.1], normalize=True).weights(signals_of([1.0] * 3)).numpy().sum(), 3, rtol=1e-6
    )


def test_dtp_keeps_a_running_mean_of_active_tasks(signals_of: Signal) -> None:
    weighting = DTP([0.25, 0.5], smoothing=0.1)
    weighting.update(signals_of([1.0, 0.0], [True, False], accuracies=[1.0, 0.0]))
    np.testing.assert_allclose(weighting.indicators, [0.325, 0.5])
    constant = DTP([0.25])
    for _ in range(300):
        constant.update(signals_of([1.0], accuracies=[0.75]))
    np.testing.assert_allclose(constant.indicators, [0.75], rtol=1e-5)
    fixed = DTP([0.25, 0.5], indicators=[0.6, 0.7])
    fixed.update(signals_of([1.0, 1.0], accuracies=[0.0, 0.0]))
    np.testing.assert_allclose(fixed.indicators, [0.6, 0.7])


def test_rlw_is_drawn_anew_each_step_from_seed_and_step_alone(signals_of: Signal) -> None:
    draws = np.array([RLW(3, 7).weights(signals_of([1.0] * 3, step=step)).numpy() for step in range(400)])
    np.testing.assert_array_equal(draws[17], RLW(3, 7).weights(signals_of([5.0] * 3, step=17)))
    assert not np.allclose(draws[17], RLW(3, 8).weights(signals_of([1.0] * 3, step=17)))
    assert (draws > 0).all() and len(np.unique(draws[:, 0])) == 400
    np.testing.assert_allclose(draws.sum(axis=1), 3, rtol=1e-5)
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.1)


def grad_norm_objective(weights: tf.Tensor, norms: np.ndarray, ratios: np.ndarray, alpha: float) -> tf.Tensor:
    weighted = weights * norms
    target = tf.stop_gradient(tf.reduce_mean(weighted)) * (ratios / ratios.mean()) ** alpha
    return tf.reduce_sum(tf.abs(weighted - target))


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
def test_gradnorm_gradient_is_the_tapes(alpha: float, signals_of: Signal) -> None:
    weighting, random = GradNorm(3, alpha, initial_losses=[2.0, 1.0, 3.0]), np.random.default_rng(0)
    for _ in range(20):
        losses, weights = random.uniform(0.2, 3, 3), random.uniform(0.3, 2, 3).astype(np.float32)
        weighting.learned.value.assign(weights)
        variable = tf.Variable(weights)
        norms = np.sqrt(np.diag(J3 @ J3.T)).astype(np.float32)
        with tf.GradientTape() as tape:
            objective = grad_norm_objective(variable, norms, (losses / [2.0, 1.0, 3.0]).astype(np.float32), alpha)
        found = weighting.gradient(signals_of(losses, gram=J3 @ J3.T))
        np.testing.assert_allclose(found, tape.gradient(objective, variable), rtol=1e-5)


def gradnorm_after(steps: int, losses: Any, norms: Any, alpha: float, signals_of: Signal, initial: Any = None) -> np.ndarray:
    weighting = GradNorm(len(norms), alpha, initial)
    for step in range(steps):
        signals = signals_of(losses, step=step, gram=np.diag(np.square(norms)))
        weighting.update(signals)
        weights = weighting.weights(signals).numpy()
        np.testing.assert_allclose(weights.sum(), len(norms), rtol=1e-5)
        assert (weights > 0).all()
    return weights


def test_gradnorm_weights(signals_of: Signal) -> None:
    np.testing.assert_allclose(gradnorm_after(20, [1.0, 1.0], [2.0, 2.0], 1.5, signals_of), 1, rtol=1e-5)
    larger = gradnorm_after(20, [1.0, 1.0], [2.0, 1.0], 0.0, signals_of)
    assert larger[0] < 1 < larger[1]
    slower = gradnorm_after(20, [1.9, 0.5], [1.0, 1.0], 1.5, signals_of, initial=[2.0, 2.0])
    assert slower[0] > 1 > slower[1]
    gradnorm_after(300, [1.0, 1.0, 1.0], [1e6, 1.0, 1e-6], 0.0, signals_of)  # never reaches zero


def test_gradnorm_takes_the_first_losses_or_those_it_is_told(signals_of: Signal) -> None:
    weighting = GradNorm(2)
    for losses in ([3.0, 2.0], [1.0, 1.0]):
        weighting.update(signals_of(losses, gram=np.eye(2)))
    np.testing.assert_array_equal(weighting.initial_losses, [3, 2])
    with pytest.raises(UserError, match="initial losses"):
        GradNorm(2, initial_losses=[0.0, 1.0])


def test_famo_weights_and_what_moves_them(signals_of: Signal) -> None:
    weighting = FAMO(3, gamma=0.0, lower_bounds=[0.5, 0.0, 0.0])
    weighting.learned.value.assign([0.2, -0.1, 0.4])
    losses = np.array([2.0, 1.0, 0.3])
    z = np.exp([0.2, -0.1, 0.4]) / np.exp([0.2, -0.1, 0.4]).sum()
    parts = z / (losses - [0.5, 0, 0])
    np.testing.assert_allclose(weighting.weights(signals_of(losses)), 3 * parts / parts.sum(), rtol=1e-5)
    seen = []
    weighting.learned.descend = lambda gradient, active: seen.append(gradient.numpy())  # type: ignore[method-assign]
    after = np.array([1.5, 0.9, 0.31])
    weighting.update(signals_of(losses), tf.constant(after, tf.float32))
    fall = np.log(losses - [0.5, 0, 0]) - np.log(after - [0.5, 0, 0])
    jacobian = np.diag(z) - np.outer(z, z)
    np.testing.assert_allclose(seen[0], jacobian @ fall, rtol=1e-4)


def test_famo_adds_the_papers_constant_to_every_loss_above_its_bound(signals_of: Signal) -> None:
    weighting, bounds, tiny = FAMO(3, gamma=0.0, lower_bounds=[0.5, 0.0, 0.0]), np.array([0.5, 0, 0]), 1e-8
    losses, after = np.array([0.5, 3e-9, 1.0]), np.array([0.5, 1e-9, 0.9])
    parts = 1 / (losses - bounds + tiny)
    np.testing.assert_allclose(weighting.weights(signals_of(losses)), 3 * parts / parts.sum(), rtol=1e-5)
    seen = []
    weighting.learned.descend = lambda gradient, active: seen.append(gradient.numpy())  # type: ignore[method-assign]
    weighting.update(signals_of(losses), tf.constant(after, tf.float32))
    delta = np.log(losses - bounds + tiny) - np.log(after - bounds + tiny)
    np.testing.assert_allclose(seen[0], (delta - delta.mean()) / 3, rtol=1e-4)


def test_famo_survives_losses_at_their_bound_and_losses_that_are_no_number(signals_of: Signal) -> None:
    weighting = FAMO(2, lower_bounds=[0.5, 0.0])
    for losses, after in (([0.4, 1.0], [0.3, 0.9]), ([0.5, 1.0], [0.7, float("nan")]), ([1.0, 1.0], [float("inf"), 0.9])):
        signals = signals_of(losses)
        weights = weighting.weights(signals).numpy()
        assert np.isfinite(weights).all() and (weights >= 0).all()
        weighting.update(signals, tf.constant(after))
        assert all(np.isfinite(value).all() for value in state_of(weighting))


def test_famo_stays_when_all_losses_fall_alike_and_needs_the_losses_after(signals_of: Signal) -> None:
    weighting = FAMO(3, gamma=0.0)
    signals = signals_of([2.0, 1.0, 0.5])
    weighting.update(signals, signals.losses * 0.5)
    np.testing.assert_allclose(weighting.learned.value, 0, atol=0.03)
    before = state_of(weighting)
    with pytest.raises(ValueError, match="after the step"):
        weighting.update(signals)
    np.testing.assert_equal(state_of(weighting), before)
    slow = FAMO(2, gamma=0.0)
    for _ in range(5):
        slow.update(signals_of([1.0, 1.0]), tf.constant([0.5, 0.99]))
    weights = slow.weights(signals_of([1.0, 1.0])).numpy()
    assert weights[1] > 1 > weights[0]  # the one that falls slowest gains


LOSSES = [[0.7], [2.0, 0.5], [2.7, 1.9, 1.1], [1e8, 1.0, 1e-8], list(np.logspace(-8, 8, 16))]


def slopes_of(objective: Callable[[np.ndarray], Any], losses: np.ndarray) -> np.ndarray:
    """Returns the derivatives with respect to the losses, by central differences of the objective in more digits."""
    exact, found = losses.astype(np.longdouble), []
    for task in range(len(losses)):
        step = exact[task] * np.longdouble(1e-7)
        up, down = exact.copy(), exact.copy()
        up[task] += step
        down[task] -= step
        found.append((objective(up) - objective(down)) / (2 * step))
    return np.array(found, float)


@pytest.mark.parametrize("losses", LOSSES)
def test_gls_weights_are_the_derivatives_of_the_geometric_mean(losses: list[float], signals_of: Signal) -> None:
    size, exact = len(losses), np.array(losses, np.float32).astype(float)
    weights = GLS(size).weights(signals_of(losses)).numpy()
    np.testing.assert_allclose(weights, slopes_of(lambda x: size * np.exp(np.log(x).mean()), exact), rtol=1e-5)
    np.testing.assert_allclose(np.log(weights.astype(float)).sum(), 0, atol=1e-4)


def test_gls_of_equal_losses_is_equal_and_of_a_vanished_one_finite(signals_of: Signal) -> None:
    np.testing.assert_allclose(GLS(3).weights(signals_of([1.7, 1.7, 1.7])), 1, rtol=1e-6)
    np.testing.assert_allclose(GLS(2).weights(signals_of([0.0, 1.0])), [1e4, 1e-4], rtol=1e-5)
    before = GLS(3).weights(signals_of([2.0, 1.0, 0.5])).numpy()
    after = GLS(3).weights(signals_of([2.0, 8.0, 0.5])).numpy()
    np.testing.assert_allclose(after / before, [2, 0.25, 2], rtol=1e-5)  # w L, and so all tasks' gradients, are doubled


@pytest.mark.parametrize("losses", LOSSES)
@pytest.mark.parametrize("temperature", [0.01, 2.0, 1e6])
def test_uw_so_weights_are_the_papers(losses: list[float], temperature: float, signals_of: Signal) -> None:
    exact = np.array(losses, np.float32).astype(np.longdouble)
    powers = np.exp(1 / (temperature * exact) - (1 / (temperature * exact)).max())
    weights = UWSO(len(losses), temperature).weights(signals_of(losses)).numpy()
    np.testing.assert_allclose(weights, (len(losses) * powers / powers.sum()).astype(np.float32), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(weights.sum(), len(losses), rtol=1e-6)


def test_uw_so_of_a_learned_task_is_all_its_own(signals_of: Signal) -> None:
    np.testing.assert_array_equal(UWSO(3).weights(signals_of([0.0, 1.0, 2.0])), [3, 0, 0])
    np.testing.assert_allclose(UWSO(2, 1e6).weights(signals_of([0.5, 2.0])), 1, rtol=1e-5)


@pytest.mark.parametrize("losses", LOSSES)
@pytest.mark.parametrize("mu", [0.01, 0.1, 1.0, 1e6])
def test_stch_weights_are_the_derivatives_of_its_objective(losses: list[float], mu: float, signals_of: Signal) -> None:
    size, exact = len(losses), np.array(losses, np.float32).astype(float)
    preferences = np.arange(1.0, size + 1)
    shares, ideal = preferences / preferences.sum(), np.full(size, 0.05)

    def objective(x: np.ndarray) -> Any:
        above = shares * (x - ideal) / mu
        return size**2 * mu * (np.log(np.exp(above - above.max()).sum()) + above.max())

    weighting = STCH(size, mu, preferences.tolist(), ideal.tolist())
    weights = weighting.weights(signals_of(losses)).numpy()
    above = shares * (exact - ideal) / mu
    powers = np.exp(above - above.max())
    np.testing.assert_allclose(weights, size**2 * shares * powers / powers.sum(), rtol=1e-5, atol=1e-30)
    if exact.max() < 10:  # elsewhere differences of the objective are rounding
        np.testing.assert_allclose(weights, slopes_of(objective, exact), rtol=1e-5, atol=1e-7)


def test_stch_goes_from_the_largest_loss_to_equal_weights(signals_of: Signal) -> None:
    signals = signals_of([2.0, 1.9, 0.5])
    np.testing.assert_allclose(STCH(3, 1e-6).weights(signals), [3, 0, 0], atol=1e-6)
    np.testing.assert_allclose(STCH(3, 1e6).weights(signals), 1, rtol=1e-5)
    np.testing.assert_allclose(STCH(3, 0.1).weights(signals).numpy().sum(), 3, rtol=1e-6)
    apart = STCH(2, 0.1, [1.0, 3.0], [0.5, 0.1]).weights(signals_of([1.0, 1.0])).numpy()
    powers = np.exp([0.25 * 0.5 / 0.1, 0.75 * 0.9 / 0.1])
    np.testing.assert_allclose(apart, 4 * np.array([0.25, 0.75]) * powers / powers.sum(), rtol=1e-5)


@pytest.mark.parametrize("wrong", [lambda: UWSO(2, 0.0), lambda: STCH(2, 0.0), lambda: STCH(2, 0.1, [1.0, 0.0])])
def test_options_out_of_range_are_told(wrong: Callable[[], TaskWeighting]) -> None:
    with pytest.raises(UserError, match="must be more than 0"):
        wrong()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uncertainty(3),
        lambda: IMTLL(3),
        lambda: DWA(3, 2),
        lambda: DTP([0.1, 0.2, 0.3]),
        lambda: GradNorm(3),
        lambda: FAMO(3),
        lambda: GradVac(3),
        lambda: CRMOGM(3),
    ],
)
def test_state_survives_a_checkpoint(make: Callable[[], TaskWeighting], signals_of: Signal, tmp_path: Any) -> None:
    def advance(weighting: TaskWeighting, steps: range) -> None:
        for step in steps:
            weighting.update(
                signals_of([2.0 / (step + 1), 1.0, 0.5 + step], step=step, accuracies=[0.5, 0.1, 0.9], gram=J3 @ J3.T),
                tf.constant([1.0 / (step + 1), 0.9, 0.4 + step]),
            )

    whole, first, second = make(), make(), make()
    advance(whole, range(6))
    advance(first, range(3))
    path = tf.train.Checkpoint(weighting=first).write(str(tmp_path / "state"))
    tf.train.Checkpoint(weighting=second).read(path).assert_consumed()
    advance(second, range(3, 6))
    np.testing.assert_equal(state_of(second), state_of(whole))
    assert any((value != other).any() for value, other in zip(state_of(whole), state_of(make())))
