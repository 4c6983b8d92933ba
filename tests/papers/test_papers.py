"""The papers' own problems, solved by the weighting classes that training uses."""

import numpy as np
import pytest
from two_noises import learned_sigmas
from unequal_scales import train
from valley import descend, famo, losses_and_gradients

from easytransfer_mtl.weighting import (
    IMTLG,
    MGDA,
    RLW,
    AlignedMTL,
    CAGrad,
    DualProj,
    Equal,
    FairGrad,
    GradNorm,
    GradVac,
    Nash,
    PCGrad,
    TaskWeighting,
    UPGrad,
)

HARD_START = (9.0, 9.0)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_valleys_gradients_are_those_of_its_losses(scale: float) -> None:
    random = np.random.default_rng(0)
    for point in random.uniform(-10, 10, (200, 2)):
        losses, gradients = losses_and_gradients(*point, scale)
        for axis in range(2):
            shift = np.eye(2)[axis] * 1e-6
            change = losses_and_gradients(*(point + shift), scale)[0] - losses_and_gradients(*(point - shift), scale)[0]
            np.testing.assert_allclose(gradients[:, axis], change / 2e-6, rtol=1e-3, atol=1e-5)


def test_valleys_losses_at_the_published_point() -> None:
    np.testing.assert_allclose(losses_and_gradients(0.0, -8.355, 0.1)[0], [-1.509, -15.092], atol=2e-3)


@pytest.mark.parametrize(
    "weighting",
    [MGDA(2), IMTLG(2), Nash(2), famo(0.1), AlignedMTL(2), FairGrad(2)],
    ids=lambda weighting: weighting.name,
)
def test_who_leaves_the_valley_when_one_loss_is_weak(weighting: TaskWeighting) -> None:
    path = descend(weighting, HARD_START, 0.1, 32000)
    assert path.reached_front and path.steps < 31000


@pytest.mark.parametrize(
    "weighting",
    [Equal(2), PCGrad(2, 0), UPGrad(2), RLW(2, 0), DualProj(2), GradVac(2)],
    ids=lambda weighting: weighting.name,
)
def test_who_stays_in_the_valley_when_one_loss_is_weak(weighting: TaskWeighting) -> None:
    steps = 50000 if weighting.name == "equal" else 20000
    path = descend(weighting, HARD_START, 0.1, steps)
    assert path.steps == steps and path.points[-1, 1] > 1
    if weighting.name == "equal":
        np.testing.assert_allclose(path.points[-1], [4.99, 3.90], atol=0.1)


def test_plain_sum_of_equal_losses_stays_in_the_valley() -> None:
    path = descend(Equal(2), HARD_START, 1.0, 100000)
    np.testing.assert_allclose(path.points[-1], [5.02, 2.31], atol=0.1)


def test_cagrad_leaves_the_valley_of_equal_losses_in_steps_in_which_the_plain_sum_does_not() -> None:
    steps, rate = 30000, 0.003  # three times the paper's rate: a third of its steps
    path = descend(CAGrad(2), HARD_START, 1.0, steps, rate)
    assert path.reached_front and abs(path.points[-1, 0]) < 0.1
    stuck = descend(Equal(2), HARD_START, 1.0, steps, rate)
    assert stuck.steps == steps and stuck.points[-1, 1] > 1


def test_gradnorm_evens_out_the_norms_and_learns_both_tasks() -> None:
    steps, sigmas = 1500, [1.0, 100.0]
    equal, balanced = (train(weighting, sigmas, steps) for weighting in (Equal(2), GradNorm(2, alpha=0.12)))
    assert equal.shares[-100:, 1].mean() > 1.8  # the large task has nearly all of the gradient
    assert np.abs(balanced.shares[-100:].mean(axis=0) - 1).max() < 0.3
    assert balanced.weights[-1, 0] > 1.9 and balanced.weights[100, 0] > 1.9
    assert balanced.task_normalised_loss < 0.95 * equal.task_normalised_loss


def test_uncertainty_finds_the_noise_of_both_outputs() -> None:
    sigmas, residuals = (values[-1] for values in learned_sigmas(1200))
    np.testing.assert_allclose(sigmas, residuals, rtol=0.1)
    assert 7 < sigmas[0] / sigmas[1] < 13
