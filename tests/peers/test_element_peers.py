"""Where TorchJD is installed: the methods that are no function of a Gram matrix, beside TorchJD's, on the same gradients."""

import numpy as np
import pytest
import tensorflow as tf
from hard_gradients import KINDS, unit_gradients

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchjd.aggregation")

from easytransfer_mtl.weighting import ExcessMTL, MoDo, SDMGrad, Signals  # noqa: E402
from easytransfer_mtl.weighting.graddrop import sign_dropped  # noqa: E402
from easytransfer_mtl.weighting.trimmed_mean import trimmed_sum  # noqa: E402

SIZES = (3, 5, 16)


def gradients_of(kind: str, size: int, seed: int = 0) -> np.ndarray:
    """Gradients of float32, of lengths up to 1e4 apart."""
    random = np.random.default_rng(seed)
    return (unit_gradients(kind, size, 1e-3, random) * 10.0 ** random.uniform(-2, 2, (size, 1))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_graddrop_keeps_and_drops_what_torchjds_does_given_its_random_numbers(
    kind: str, leak: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in SIZES:
        gradients, leaks = gradients_of(kind, size), np.linspace(0, leak, size).astype(np.float32)
        uniforms = np.random.default_rng(size).random(gradients.shape[1]).astype(np.float32)
        monkeypatch.setattr(torch, "rand", lambda *shape, uniforms=uniforms, **more: torch.from_numpy(uniforms))
        wanted = theirs.GradDrop(leak=torch.from_numpy(leaks))(torch.from_numpy(gradients)).numpy()
        found = sign_dropped(tf.constant(gradients), tf.constant(uniforms), tf.constant(leaks))[0].numpy()
        # where all tasks are 0, theirs is 0 / 0
        np.testing.assert_allclose(found[np.isfinite(wanted)], wanted[np.isfinite(wanted)], rtol=1e-5, atol=1e-5)
        assert not found[~np.isfinite(wanted)].any()


@pytest.mark.parametrize("kind", KINDS)
def test_trimmed_mean_is_k_times_torchjds(kind: str) -> None:
    for size in SIZES:
        gradients = gradients_of(kind, size)
        for number in (0, 1, (size - 1) // 2):
            wanted = theirs.TrimmedMean(trim_number=number)(torch.from_numpy(gradients)).numpy()
            found = trimmed_sum(tf.constant(gradients), number)[0].numpy() / (size - 2 * number)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_excess_mtl_has_k_times_torchjds_weights_where_its_epsilon_does_not_count() -> None:
    for size in SIZES:
        ours, peer = ExcessMTL(size, 0.3), theirs.ExcessMTLWeighting(robust_step_size=0.3, n_warmup_steps=1)
        ours.build([tf.Variable(tf.zeros([40]))])
        for step in range(6):
            gradients = (10.0 * np.random.default_rng(step).standard_normal((size, 40))).astype(np.float32)
            losses = tf.ones(size)
            given = Signals(losses, losses > 0, tf.constant(step, tf.int64), gradients=[tf.constant(gradients)])
            combined = ours.combine(given)
            ours.update(given._replace(moved=combined.moved))
            wanted = size * peer(torch.from_numpy(gradients)).numpy()
            np.testing.assert_allclose(combined.weights, wanted, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_modo_and_sdmgrad_have_k_times_torchjds_weights(size: int) -> None:
    modo, sdmgrad = MoDo(size, 0.01, 0.2), SDMGrad(size, 0.3, 20, 0.5)
    peers = theirs.MoDoWeighting(gamma=0.01, rho=0.2), theirs.SDMGradWeighting(lr=0.5, momentum=0.5, n_iter=20, lambda_=0.3)
    for weighting in (modo, sdmgrad):
        weighting.build([])
    for step in range(6):
        random = np.random.default_rng(step)
        mean = random.standard_normal((size, 50))
        products = (mean + 0.1 * random.standard_normal(mean.shape)) @ (mean + 0.1 * random.standard_normal(mean.shape)).T
        losses = tf.ones(size)
        given = Signals(losses, losses > 0, tf.constant(step, tf.int64), products=tf.constant(products))
        for ours, peer in zip((modo, sdmgrad), peers, strict=True):
            wanted = size * peer(torch.from_numpy(products)).numpy()
            np.testing.assert_allclose(ours.weights(given), wanted, rtol=1e-4, atol=1e-5)
            ours.update(given)
