"""Rules between settings, and between them and the encoder: what cannot work is told before anything is built."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig
from watched import watched, with_effect

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.adversarial import Adversary, make_adversary
from easytransfer_mtl.training.checks import check_settings
from easytransfer_mtl.training.plan import plan_run
from easytransfer_mtl.training.preparation import prepare

Settings = Callable[..., TrainSettings]
GRAM = {"loss_weighting": "mgda", "step_mode": "joint"}
MIRRORED = {"distribution_strategy": "MirroredStrategy"}
ATTACK = {name for name in options_of(TrainSettings) if name.startswith("adversarial_")} - {"adversarial_weight"}
LAYERS = 4


@pytest.mark.parametrize(("kind", "options"), [("none", ()), ("fgm", ("epsilon",)), ("pgd", ("epsilon", "alpha", "steps"))])
def test_an_attack_reads_what_has_an_effect_with_it(kind: str, options: tuple[str, ...], tiny_settings: Settings) -> None:
    settings, read = watched(tiny_settings(adversarial=kind))
    make_adversary(settings)
    assert read - {"adversarial"} == {f"adversarial_{option}" for option in options} == with_effect(settings) & ATTACK


def test_attacks(tiny_settings: Settings) -> None:
    assert make_adversary(tiny_settings()) is None
    assert make_adversary(tiny_settings(adversarial="fgm", adversarial_epsilon=0.5)) == Adversary(1, 0.5, 0.5)
    assert make_adversary(tiny_settings(adversarial="pgd", adversarial_steps=2)) == Adversary(2, 0.03, 0.1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"outputs": "somewhere"}, "--outputs has no meaning in training"),
        ({"adversarial_epsilon": 2.0}, "adversarial_epsilon has no effect with adversarial none. Set --adversarial=fgm or"),
        (
            {"adversarial": "fgm", "adversarial_steps": 2},
            "adversarial_steps has no effect with adversarial fgm. Set --adversarial=pgd, or leave it out.",
        ),
        ({"adversarial": "fgm", "adversarial_epsilon": 0.0}, "a step length and a norm above 0"),
        ({"adversarial": "pgd", "adversarial_alpha": 0.0}, "a step length and a norm above 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; it must be from 0 (off) to below 1"),
        ({"swa_checkpoints": 1}, "swa_checkpoints is 1; a mean needs 2 or more"),
        ({"swa_checkpoints": 11}, "keep_checkpoint_max, 10, at most are there"),
        ({"swa_checkpoints": 2, "save_steps": 0}, "with save_steps 0 the last checkpoint is the only one; set --save_steps"),
        ({"early_stopping_patience": 2}, "early_stopping_patience needs --predict_input_fp"),
        ({"early_stopping_patience": 2, "predict_input_fp": "d", "save_steps": 0}, "there is none on the way"),
        ({"early_stopping_patience": 10, "predict_input_fp": "d"}, "Set --keep_checkpoint_max=11 or more"),
        ({"adversarial": "fgm", **MIRRORED}, "adversarial and early_stopping_patience work without distribution_strategy"),
        (
            {"early_stopping_patience": 2, "predict_input_fp": "d", **MIRRORED},
            "adversarial and early_stopping_patience work without distribution_strategy only",
        ),
        ({"precision": "float16", **MIRRORED}, "precision float16 works without distribution_strategy only"),
        (
            {"on_nonfinite": "skip", **MIRRORED},
            "on_nonfinite skip and log_gradients_every work without distribution_strategy",
        ),
        ({"log_gradients_every": 5, **MIRRORED}, "log_gradients_every work without distribution_strategy only"),
        ({"sharing": "mmoe", **MIRRORED}, "sharing mmoe works without distribution_strategy only"),
        ({"soft_weight": 9.0, "memory_slots": 99}, "soft_weight has no effect with sharing hard. Set --sharing=soft, or"),
    ],
)
def test_settings_that_do_not_fit_each_other(changes: dict[str, Any], message: str, tiny_settings: Settings) -> None:
    with pytest.raises(UserError) as error:
        check_settings(tiny_settings(**changes))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"swa_checkpoints": 10}, {"early_stopping_patience": 9, "predict_input_fp": "d"},
        {"early_stopping_patience": 9, "folds_file": "f", "fold": 0}, {"ema_decay": 0.999}, {"save_steps": 0},
        {"adversarial": "pgd", "adversarial_steps": 2, "adversarial_alpha": 0.5, "adversarial_epsilon": 0.5}, MIRRORED,
    ],
)  # fmt: skip
def test_settings_that_fit_each_other(changes: dict[str, Any], tiny_settings: Settings) -> None:
    check_settings(tiny_settings(**changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sharing": "soft", "soft_layers": "0-2"}, "'0-2' is not a part of the encoder .* the layers 0 to 1"),
        ({"sharing": "soft", **GRAM}, "mgda compares .* there is nothing shared: every task has an encoder of its own"),
        ({"sharing": "soft", "log_gradients_every": 5}, "log_gradients_every compares .* nothing shared"),
        ({"sharing": "soft", "scale_heads": False, "step_mode": "joint"}, "scale_heads false .* nothing shared"),
        (
            {"sharing": "shared_private", "private_layers": 3},
            "private_layers is 3, but the encoder has 2 layers .* at most 2",
        ),
        (
            {"sharing": "shared_private", "private_part": "adapter", "private_layers": 3},
            "private_layers is 3, but the encoder has 2 layers for private_part adapter",
        ),
        (
            {"sharing": "shared_private", "private_part": "adapter", "adversarial_weight": 0.1},
            "adversarial_weight has no effect with sharing shared_private, private_part adapter. "
            "Set --private_part=top or encoder, or leave it out",
        ),
        ({"sharing": "shared_private", "private_width": 7}, "private_width has no effect .* --private_part=encoder, or"),
        (
            {"sharing": "shared_private", "private_layers": 0, "combine": "gate"},
            "combine has no effect with sharing shared_private, private_part top, private_layers 0",
        ),
        ({"sharing": "mmoe", "task_experts": 3}, "task_experts has no effect with sharing mmoe. Set --sharing=ple, or"),
        ({"sharing": "soft", "experts": 7}, "experts has no effect with sharing soft. Set --sharing=mmoe or ple, or leave"),
        (
            {"sharing": "shared_private", "private_part": "encoder", "num_freezed_layers": 1},
            "would freeze the private encoders' random layers",
        ),
        (
            {"sharing": "soft", "adversarial": "fgm"},
            "fgm attacks the shared word embeddings, and with sharing soft tasks have",
        ),
        (
            {"sharing": "shared_private", "private_part": "encoder", "adversarial": "pgd"},
            "pgd attacks the shared word embeddings",
        ),
        ({"sharing": "mmoe", **MIRRORED}, "mmoe works without distribution_strategy only"),
    ],
)
def test_sharing_that_cannot_work_is_refused_before_anything_is_built(
    changes: dict[str, Any], message: str, tiny_settings: Settings
) -> None:
    with pytest.raises(UserError, match=message):
        prepare(tiny_settings(**changes))


@pytest.mark.parametrize("part", ["top", "encoder", "adapter"])
def test_layers_are_read_where_no_private_part_lies_on_top(part: str, tiny_settings: Settings) -> None:
    changes = {"sharing": "shared_private", "private_part": part, "features": "ocnli=layer1.mean"}
    prepare(tiny_settings(**changes, private_layers=0))
    if part == "adapter":
        prepare(tiny_settings(**changes))
        return
    with pytest.raises(UserError, match="reads layers below the last, which sharing shared_private does not deliver"):
        prepare(tiny_settings(**changes))


@pytest.mark.parametrize(
    "features, kind, fits",
    [
        ("mean", "pooler", False), ("tnews=mean", "pooler", True), ("layer3.mean", "last_layer", False),
        ("mix.mean", "last_layer", True), ("layer1.cls", "all", True),
    ],
)  # fmt: skip
def test_gram_variables_that_no_task_reads(features: str, kind: str, fits: bool, tiny_settings: Settings) -> None:
    settings = tiny_settings(features=features, gram_variables=kind, **GRAM)
    arguments = (settings, list(CONTEST_TASKS), [12, 12, 12], BertConfig(num_hidden_layers=LAYERS))
    if fits:
        plan_run(*arguments)
        return
    with pytest.raises(UserError, match="no task reads .* set --gram_variables=all"):
        plan_run(*arguments)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"head_dropout": "0"}, "TNEWS, OCEMOTION, OCNLI"),
        ({"head_dropout": "ocnli=0.3,tnews=0,ocemotion=0", "token_dropout": "tnews=0.1"}, "OCEMOTION"),
        ({"head_dropout": "0", "features": "tnews=cls+ngrams", "part_dropout": "tnews=0.1"}, "OCEMOTION, OCNLI"),
        ({"head_dropout": "0", "rdrop_alpha": 0.0}, None),
        ({}, None),
    ],
)
def test_rdrop_without_any_dropout_is_warned_of_by_task(
    changes: dict[str, Any],
    named: str | None,
    tiny_settings: Settings,
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
