"""Settings to losses, attack, averages and stopping: values per task, and what does not fit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows, from_arrays
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.adversarial import Adversary
from easytransfer_mtl.models.task_losses import class_weights
from easytransfer_mtl.training.loss_choice import (
    check_averages_and_stopping,
    choose_adversary,
    choose_loss,
    label_weights,
    token_dropout_rates,
)
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.weighting import DTP, Equal

NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]


def settings(**changes: Any) -> TrainSettings:
    needed = {"pretrain_model_name_or_path": "e", "train_input_fp": "t", "train_batch_size": 8, "model_dir": "m"}
    return TrainSettings(**needed, **changes)


def rows_with(labels: list[int]) -> EncodedRows:
    ones = np.ones((len(labels), 2), np.int32)
    return from_arrays(ones, np.full(len(labels), 2), ones, np.array(labels))


def test_values_are_for_all_tasks_or_for_those_that_are_named() -> None:
    both = choose_loss(settings(label_smoothing="0.1", focal_gamma="ocnli=2"), NAMES, Equal(3))
    assert both.label_smoothing == dict.fromkeys(NAMES, 0.1)
    assert both.focal_gamma == {"TNEWS": 0, "OCEMOTION": 0, "OCNLI": 2}
    assert choose_loss(settings(label_smoothing=0.2), NAMES, Equal(3)).label_smoothing["OCNLI"] == 0.2


def test_class_weights_differ_by_task() -> None:
    rows = {name: (rows_with([0] * 9 + [1]), 3) for name in NAMES}
    counts = np.array([9, 1, 0])
    found = label_weights(settings(class_weights="tnews=log,OCNLI=inverse"), rows)
    assert found == {"TNEWS": class_weights(counts, "log"), "OCNLI": class_weights(counts, "inverse")}
    assert label_weights(settings(class_weights="effective"), rows).keys() == set(NAMES)
    assert label_weights(settings(), rows) == label_weights(settings(class_weights="tnews=none"), rows) == {}


def test_dtps_own_focal_factor_and_another_exclude_each_other() -> None:
    chance = [0.1, 0.2, 0.3]
    assert choose_loss(settings(), NAMES, DTP(chance)).focal_gamma == dict.fromkeys(NAMES, 1)
    with pytest.raises(UserError, match="has a focal factor of its own, the power 1. Set --dtp_focal_gamma=0 to use"):
        choose_loss(settings(focal_gamma="2"), NAMES, DTP(chance))
    off = choose_loss(settings(focal_gamma="tnews=2"), NAMES, DTP(chance, focal_gamma=0.0))
    assert off.focal_gamma == {"TNEWS": 2, "OCEMOTION": 0, "OCNLI": 0}


def test_attacks() -> None:
    assert choose_adversary(settings()) is None
    assert choose_adversary(settings(adversarial="fgm", adversarial_epsilon=0.5)) == Adversary(1, 0.5, 0.5)
    assert choose_adversary(settings(adversarial="pgd", adversarial_steps=2)) == Adversary(2, 0.03, 0.1)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"class_weights": "often"},
            "class_weights 'often': 'often' is not allowed; allowed: none, inverse, log, effective",
        ),
        ({"class_weights": "tnews=rare"}, "'rare' is not allowed"),
        ({"class_weights": "cmnli=log"}, "'cmnli' is no task"),
        ({"label_smoothing": "tnews=1"}, "label_smoothing 'tnews=1': 1.0 for TNEWS; a rate must be from 0 to below 1"),
        ({"label_smoothing": "much"}, "label_smoothing 'much' is neither a number nor NAME=NUMBER"),
        ({"focal_gamma": "-1"}, "focal_gamma is -1.0 for TNEWS; it must be a number, 0 or more"),
        ({"focal_gamma": "nan"}, "focal_gamma is nan"),
        ({"token_dropout": "ocnli=1"}, "token_dropout 'ocnli=1': 1.0 for OCNLI; a rate must be from 0 to below 1"),
        ({"token_dropout": "some"}, "token_dropout 'some' is neither a number nor NAME=NUMBER"),
        ({"adversarial_epsilon": 2.0}, "adversarial_epsilon has no effect with adversarial none. Set --adversarial=fgm"),
        ({"adversarial": "fgm", "adversarial_steps": 2}, "adversarial_steps has no effect with adversarial fgm"),
        ({"adversarial": "fgm", "adversarial_epsilon": 0.0}, "a step length and a norm above 0"),
        ({"adversarial": "pgd", "adversarial_alpha": 0.0}, "a step length and a norm above 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; it must be from 0 (off) to below 1"),
        ({"swa_checkpoints": 1}, "swa_checkpoints is 1; a mean needs 2 or more"),
        ({"swa_checkpoints": 11}, "keep_checkpoint_max, 10, at most are there"),
        ({"swa_checkpoints": 2, "save_steps": 0}, "with save_steps 0 the last checkpoint is the only one; set --save_steps"),
        ({"early_stopping_patience": 2}, "early_stopping_patience needs --predict_input_fp"),
        ({"early_stopping_patience": 2, "predict_input_fp": "d", "save_steps": 0}, "there is none on the way"),
        ({"early_stopping_patience": 10, "predict_input_fp": "d"}, "Set --keep_checkpoint_max=11 or more"),
        ({"adversarial": "fgm", "distribution_strategy": "MirroredStrategy"}, "without distribution_strategy only"),
    ],
)
def test_what_does_not_fit_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        choose_loss(settings(**changes), NAMES, Equal(3))
        choose_adversary(settings(**changes))
        token_dropout_rates(settings(**changes), NAMES)
        check_averages_and_stopping(settings(**changes))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"head_dropout": "0"}, "TNEWS, OCEMOTION, OCNLI"),
        ({"head_dropout": "ocnli=0.3,tnews=0,ocemotion=0", "token_dropout": "tnews=0.1"}, "OCEMOTION"),
        ({"head_dropout": "0", "rdrop_alpha": 0.0}, None),
        ({}, None),
    ],
)
def test_rdrop_without_any_dropout_is_warned_of_by_task(
    changes: dict[str, Any],
    named: str | None,
    tiny_settings: Callable[..., TrainSettings],
    tiny_encoder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    prepare(tiny_settings(pretrain_model_name_or_path=str(folder), **{"rdrop_alpha": 1.0, **changes}))
    found = [text for text in caplog.messages if text.startswith("rdrop_alpha has no effect")]
    why = "there is no dropout of any kind, so both passes are one."
    assert found == ([f"rdrop_alpha has no effect for {named}: {why}"] if named else [])
