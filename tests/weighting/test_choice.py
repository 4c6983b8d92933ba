"""From --loss_weighting and its options to a weighting, or to a sentence that says what does not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from watched import watched, with_effect

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.train_settings import LOSS_WEIGHTINGS, StepSettings, WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import (
    CRMOGM,
    DTP,
    DWA,
    FAMO,
    METHODS,
    STCH,
    UWSO,
    ExcessMTL,
    FairGrad,
    Fixed,
    GradDrop,
    GradNorm,
    GradVac,
    Krum,
    MoCo,
    MoDo,
    RunFacts,
    SDMGrad,
    TaskWeighting,
    TrimmedMean,
    make_weighting,
)

RUN = RunFacts(["TNEWS", "OCEMOTION", "OCNLI"], [15, 7, 3], steps_per_epoch=10, seed=3)
JOINT = tuple(name for name, method in METHODS.items() if method.needs_joint_step)


def made(run: RunFacts = RUN, **settings: Any) -> TaskWeighting:
    return make_weighting(WeightingSettings(**settings), run)


def complaint(run: RunFacts = RUN, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        made(run, **settings)
    return str(error.value)


def test_every_method_has_a_name_and_a_name_its_method() -> None:
    assert tuple(METHODS) == LOSS_WEIGHTINGS
    for name in METHODS:
        more = {"task_weights": "tnews=2"} if name == "fixed" else {}
        weighting = made(loss_weighting=name, step_mode="joint", **more)
        assert weighting.name == name and weighting.num_tasks == 3
        assert not weighting.trainable_variables  # what a method learns stays out of the model's optimizer


@pytest.mark.parametrize("name", METHODS)
def test_a_method_reads_the_options_that_have_an_effect_with_it_and_explains_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "kpi.json").write_text('{"tnews": 0.5, "ocnli": 0.5, "ocemotion": 0.5}', encoding="utf-8")
    more = {"fixed": {"task_weights": "tnews=2"}, "dtp": {"dtp_kpi_file": str(tmp_path / "kpi.json")}}
    plain = WeightingSettings(loss_weighting=name, step_mode="joint", **more.get(name, {}))
    settings, read = watched(plain)
    method, owned = METHODS[name].make(settings, RUN), with_effect(plain)
    assert read == owned
    text = " ".join((type(method).__doc__ or "").split())
    assert "Pitfall:" in text
    for option in owned - {"dtp_kpi_file"}:
        word = option.removeprefix(f"{name}_").removeprefix("weighting_")
        assert f"``{word}``" in text, (name, option)


def test_every_option_is_a_methods_or_of_all_methods() -> None:
    options = options_of(WeightingSettings).values()
    assert {item.name for item in options if not item.only_with} == {"loss_weighting", "step_mode"}
    assert all(set(item.only_with) == {"loss_weighting"} for item in options if item.only_with)
    gram = options_of(StepSettings)["gram_variables"]
    reading = tuple(name for name, method in METHODS.items() if method.needs_gram or method.num_batches)
    assert gram.only_with == {"loss_weighting": reading}


def test_options_reach_the_method(tmp_path: Path) -> None:
    fixed = made(loss_weighting="fixed", task_weights="tnews=3,ocnli=0.5")
    assert isinstance(fixed, Fixed) and fixed._weights.numpy().tolist() == [3, 1, 0.5]
    dwa = made(loss_weighting="dwa", dwa_temperature=3.0)
    assert isinstance(dwa, DWA) and dwa.temperature == 3 and dwa.steps_per_epoch == 10
    assert made(loss_weighting="dwa", dwa_steps_per_epoch=4).steps_per_epoch == 4
    gradnorm = made(loss_weighting="gradnorm", step_mode="joint", gradnorm_alpha=0.5, gradnorm_initial_losses="log_classes")
    assert isinstance(gradnorm, GradNorm) and gradnorm.alpha == 0.5 and gradnorm.gram_variables == "last_layer"
    np.testing.assert_allclose(gradnorm.initial_losses, np.log([15, 7, 3]), rtol=1e-6)
    dtp = made(loss_weighting="dtp", dtp_gamma="ocnli=2", dtp_focal_gamma=0.5)
    assert isinstance(dtp, DTP) and dtp.focal_gamma == 0.5
    np.testing.assert_allclose(dtp._gamma, [1, 1, 2])
    np.testing.assert_allclose(dtp.indicators, [1 / 15, 1 / 7, 1 / 3], rtol=1e-6)
    (tmp_path / "kpi.json").write_text(json.dumps({"tnews": 0.5, "OCNLI": 0.7, "ocemotion": 0.25}), encoding="utf-8")
    np.testing.assert_allclose(
        made(loss_weighting="dtp", dtp_kpi_file=str(tmp_path / "kpi.json")).indicators, [0.5, 0.25, 0.7]
    )
    famo = made(loss_weighting="famo", step_mode="joint", famo_lower_bounds="tnews=0.1", weighting_learning_rate=0.5)
    assert isinstance(famo, FAMO) and famo.learned.learning_rate == 0.5
    np.testing.assert_allclose(famo._lower_bounds, [0.1, 0, 0])
    stch = made(
        loss_weighting="stch", step_mode="joint", stch_mu=0.5, stch_preferences="ocnli=2", stch_ideal_losses="tnews=0.1"
    )
    assert isinstance(stch, STCH) and stch.mu == 0.5
    np.testing.assert_allclose(stch._preferences, [0.25, 0.25, 0.5])
    np.testing.assert_allclose(stch._ideal, [0.1, 0, 0])
    fairgrad = made(loss_weighting="fairgrad", step_mode="joint", fairgrad_alpha=5.0)
    assert isinstance(fairgrad, FairGrad) and fairgrad.alpha == 5
    uw_so = made(loss_weighting="uw_so", step_mode="joint", uw_so_temperature=7.0)
    assert isinstance(uw_so, UWSO) and uw_so.temperature == 7
    gradvac = made(loss_weighting="gradvac", step_mode="joint", gradvac_beta=0.5)
    assert isinstance(gradvac, GradVac) and gradvac.beta == 0.5 and gradvac._seed == 3
    averaged = made(loss_weighting="cr_mogm", step_mode="joint", cr_mogm_method="cagrad", cr_mogm_alpha=0.5)
    assert isinstance(averaged, CRMOGM) and averaged.alpha == 0.5 and averaged.method.name == "cagrad"
    krum = made(loss_weighting="krum", step_mode="joint", krum_selected=2)
    assert isinstance(krum, Krum) and (krum.outliers, krum.selected) == (0, 2)
    graddrop = made(loss_weighting="graddrop", step_mode="joint", graddrop_leaks="ocnli=0.5")
    assert isinstance(graddrop, GradDrop) and graddrop._leaks.numpy().tolist() == [0, 0, 0.5] and graddrop._seed == 3
    trimmed = made(loss_weighting="trimmed_mean", step_mode="joint", trimmed_mean_trim_number=0)
    assert isinstance(trimmed, TrimmedMean) and trimmed.trim_number == 0
    excess = made(loss_weighting="excess_mtl", step_mode="joint", excess_mtl_step_size=0.5, excess_mtl_warmup_steps=7)
    assert isinstance(excess, ExcessMTL) and (excess.step_size, excess.warmup_steps) == (0.5, 7)
    moco = made(loss_weighting="moco", step_mode="joint", moco_beta=0.2, moco_gamma=0.3, moco_rho=0.4, moco_decay=0.6)
    assert isinstance(moco, MoCo) and (moco.beta, moco.gamma, moco.rho, moco.decay) == (0.2, 0.3, 0.4, 0.6)
    modo = made(loss_weighting="modo", step_mode="joint", modo_gamma=0.2, modo_rho=0.3)
    assert isinstance(modo, MoDo) and (modo.gamma, modo.rho) == (0.2, 0.3)
    sdmgrad = made(loss_weighting="sdmgrad", step_mode="joint", sdmgrad_lambda=0.2, sdmgrad_steps=3, sdmgrad_rate=0.4)
    assert isinstance(sdmgrad, SDMGrad) and (sdmgrad.regularizer, sdmgrad.steps, sdmgrad.rate) == (0.2, 3, 0.4)


@pytest.mark.parametrize("name", JOINT)
def test_method_of_all_tasks_refuses_one_task_a_step_and_names_the_flag(name: str) -> None:
    assert complaint(loss_weighting=name) == f"loss_weighting {name} needs every task in every step; set --step_mode=joint."


@pytest.mark.parametrize("name", [name for name in LOSS_WEIGHTINGS if name not in ("equal", "fixed")])
def test_method_that_weighs_tasks_refuses_a_single_one(name: str) -> None:
    run = RunFacts(["TNEWS"], [15])
    assert "this run has only TNEWS" in complaint(run, loss_weighting=name, step_mode="joint")
    assert made(run).num_tasks == 1 and made(run, loss_weighting="fixed", task_weights="tnews=2").num_tasks == 1


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"loss_weighting": "unsure"}, "'unsure' is not allowed; allowed: equal, fixed"),
        ({"loss_weighting": "fixed"}, "fixed needs --task_weights"),
        ({"loss_weighting": "fixed", "task_weights": ""}, "fixed needs --task_weights"),
        ({"loss_weighting": "fixed", "task_weights": "tnews=-1"}, "weights must be finite, not negative, and not all zero"),
        ({"loss_weighting": "fixed", "task_weights": "tnews=nan"}, "task_weights 'tnews=nan': 'nan' is not a finite number"),
        ({"loss_weighting": "fixed", "task_weights": "tnews=0,ocnli=0,ocemotion=0"}, "not all zero"),
        ({"loss_weighting": "uncertainty", "uncertainty_start": float("nan")}, "nan is not a finite number"),
        ({"loss_weighting": "dtp", "dtp_gamma": "inf"}, "dtp_gamma 'inf' is neither a number nor"),
        ({"loss_weighting": "dtp", "dtp_gamma": "two"}, "dtp_gamma 'two' is neither a number nor"),
        ({"loss_weighting": "dtp", "dtp_gamma": "-1"}, "0 or more"),
        (
            {"loss_weighting": "dtp", "dtp_smoothing": 1.5},
            "dtp_smoothing: 1.5 is too large",
        ),
        ({"loss_weighting": "dtp", "dtp_kpi_file": "nowhere.json"}, "nowhere.json"),
        ({"loss_weighting": "dwa", "dwa_temperature": 0.0}, "dwa_temperature: 0.0 is too small"),
        ({"loss_weighting": "cagrad", "cagrad_c": 1.0, "step_mode": "joint"}, "c 1.0 must be from 0 to below 1"),
        (
            {"loss_weighting": "gradnorm", "gradnorm_alpha": float("inf"), "step_mode": "joint"},
            "inf is not a finite number",
        ),
        ({"loss_weighting": "famo", "famo_lower_bounds": "cmnli=1", "step_mode": "joint"}, "'cmnli' is no task"),
        ({"loss_weighting": "cr_mogm", "cr_mogm_alpha": 1.0, "step_mode": "joint"}, "alpha 1.0 from 0 to below 1"),
        ({"loss_weighting": "fairgrad", "fairgrad_alpha": 0.1, "step_mode": "joint"}, "fairgrad_alpha: 0.1 is too small"),
        ({"loss_weighting": "stch", "stch_preferences": "ocnli=0", "step_mode": "joint"}, "ocnli=0"),
        (
            {"loss_weighting": "trimmed_mean", "trimmed_mean_trim_number": 2, "step_mode": "joint"},
            "3 tasks are too few for trim_number 2",
        ),
        ({"loss_weighting": "graddrop", "graddrop_leaks": "ocnli=2", "step_mode": "joint"}, "ocnli=2"),
        ({"loss_weighting": "krum", "krum_outliers": 1, "step_mode": "joint"}, "3 tasks are too few for outliers 1"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(settings: dict[str, Any], message: str) -> None:
    assert message in complaint(**settings)


@pytest.mark.parametrize("content", ['{"tnews": 0.5}', '{"tnews": "high", "ocnli": 1, "ocemotion": 0}', "[1, 2, 3]"])
def test_indicator_file_that_does_not_fit(content: str, tmp_path: Path) -> None:
    path = tmp_path / "kpi.json"
    path.write_text(content, encoding="utf-8")
    assert "with a number for tnews, ocemotion, ocnli" in complaint(loss_weighting="dtp", dtp_kpi_file=str(path))
    path.write_text('{"tnews": 1.5, "ocnli": 1, "ocemotion": 0}', encoding="utf-8")
    assert "must be from 0 to 1" in complaint(loss_weighting="dtp", dtp_kpi_file=str(path))
