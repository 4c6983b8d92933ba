"""Every optimizer against a few lines of NumPy over several steps."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs.optimizers import decays, make_optimizer

RATES = [0.1, 0.05, 0.2, 0.01, 0.1]
NAMES = ("encoder/dense/kernel", "encoder/dense/bias", "encoder/LayerNorm/gamma", "encoder/layer_norm/beta")
Rule = Callable[[np.ndarray, np.ndarray, dict, int, float, bool], np.ndarray]


def moments(gradient: np.ndarray, state: dict, b1: float, b2: float) -> tuple[np.ndarray, np.ndarray]:
    state["m"] = b1 * state.get("m", 0) + (1 - b1) * gradient
    state["v"] = b2 * state.get("v", 0) + (1 - b2) * gradient**2
    return state["m"], state["v"]


def adam(x: np.ndarray, g: np.ndarray, state: dict, t: int, lr: float, decay: bool) -> np.ndarray:
    m, v = moments(g, state, 0.9, 0.98)
    return x - lr * np.sqrt(1 - 0.98**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-6)


def adam_weight_decay(x: np.ndarray, g: np.ndarray, state: dict, t: int, lr: float, decay: bool) -> np.ndarray:
    m, v = moments(g, state, 0.9, 0.999)
    corrected = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return x - corrected * (m / (np.sqrt(v) + 1e-6) + (0.3 * x if decay else 0))


def lamb(x: np.ndarray, g: np.ndarray, state: dict, t: int, lr: float, decay: bool) -> np.ndarray:
    m, v = moments(g, state, 0.9, 0.999)
    r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
    if not decay:
        return x - lr * r
    r = r + 0.3 * x
    sizes = np.linalg.norm(x), np.linalg.norm(r)
    return x - lr * (sizes[0] / sizes[1] if all(sizes) else 1) * r


def adagrad(x: np.ndarray, g: np.ndarray, state: dict, t: int, lr: float, decay: bool) -> np.ndarray:
    state["a"] = state.get("a", 0.1) + g**2
    return x - lr * g / np.sqrt(state["a"])


def adadelta(x: np.ndarray, g: np.ndarray, state: dict, t: int, lr: float, decay: bool) -> np.ndarray:
    state["g"] = 0.95 * state.get("g", 0) + 0.05 * g**2
    step = np.sqrt(state.get("d", 0) + 1e-8) / np.sqrt(state["g"] + 1e-8) * g
    state["d"] = 0.95 * state.get("d", 0) + 0.05 * step**2
    return x - lr * step


def values_after(
    name: str, decay: float, start: np.ndarray, gradients: list[np.ndarray], traced: bool
) -> list[list[np.ndarray]]:
    """The variables ``NAMES`` after each step, all of them with the same values and gradients."""
    optimizer = make_optimizer(name, 0.0, decay)
    variables = [tf.Variable(start, name=item, dtype=tf.float32) for item in NAMES]
    optimizer.build(variables)
    apply = lambda *items: optimizer.apply_gradients(zip(items, variables, strict=True))  # noqa: E731
    apply = tf.function(apply) if traced else apply
    found = []
    for rate, gradient in zip(RATES, gradients, strict=False):
        optimizer.learning_rate = rate
        apply(*[tf.constant(gradient, tf.float32)] * len(NAMES))
        found.append([variable.numpy() for variable in variables])
    return found


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    "name, decay, rule",
    [
        ("adam", 0.0, adam), ("adam", 0.3, adam_weight_decay), ("lamb", 0.3, lamb), ("adagrad", 0.3, adagrad),
        ("adadelta", 0.3, adadelta),
    ],
)  # fmt: skip
def test_optimizer_follows_its_formula(name: str, decay: float, rule: Rule, traced: bool) -> None:
    random = np.random.default_rng(1)
    start = random.normal(size=(3, 2))
    # One gradient is tiny, where the place of epsilon matters, and one is zero.
    gradients = [random.normal(size=(3, 2)) * scale for scale in (1, 1e-6, 1, 0, 1)]
    found = values_after(name, decay, start, gradients, traced)
    for column, variable_name in enumerate(NAMES):
        x, state = start, {}
        for step, (gradient, rate) in enumerate(zip(gradients, RATES, strict=True)):
            x = rule(x, gradient, state, step + 1, rate, variable_name == "encoder/dense/kernel")
            # In float32 1 - 0.999^t has few digits left, hence not less.
            np.testing.assert_allclose(found[step][column], x, rtol=2e-5, atol=5e-6, err_msg=f"{variable_name} step {step}")


def test_lambs_ratio_is_one_where_a_norm_is_zero() -> None:
    zeros, ones = np.zeros((2, 2)), np.ones((2, 2))
    from_zero = values_after("lamb", 0.3, zeros, [ones], traced=False)[0][0]
    np.testing.assert_allclose(from_zero, -RATES[0] * ones, rtol=1e-5)
    without_update = values_after("lamb", 0.0, ones, [zeros], traced=False)[0][0]
    np.testing.assert_array_equal(without_update, ones)


def test_first_tiny_step_tells_the_forms_of_epsilon_apart() -> None:
    # TF1: lr sqrt(1-b2)/(1-b1) * (1-b1) g / (sqrt((1-b2) g^2) + eps); the other form adds eps to |g| itself.
    g = 1e-6
    found = values_after("adam", 0.0, np.zeros((1, 1)), [np.full((1, 1), g)], traced=False)[0][0]
    root = np.sqrt(0.02)
    np.testing.assert_allclose(found, -0.1 * root * g / (root * g + 1e-6), rtol=1e-4)


@pytest.mark.parametrize(
    "name, decayed",
    [
        ("bert/encoder/layer_._0/output/dense/kernel", True), ("bert/embeddings/word_embeddings/weight", True),
        ("tnews_dense/kernel", True), ("tnews_dense/bias", False), ("bert/embeddings/LayerNorm/gamma", False),
        ("layer_norm/beta", False),
    ],
)  # fmt: skip
def test_what_decays(name: str, decayed: bool) -> None:
    assert decays(tf.Variable(0.0, name=name)) is decayed


def test_unknown_name() -> None:
    with pytest.raises(UserError, match="'sgd' is unknown; allowed: adam, lamb, adagrad, adadelta"):
        make_optimizer("sgd", 0.1, 0.0)
