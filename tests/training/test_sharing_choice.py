"""Sharing in a whole run: refused at start where it cannot work, told, logged, stored, and not exchanged under way."""

import json
import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.sharing_settings import COMBINATIONS, PRIVATE_PARTS, SHARINGS, SharingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.architecture_checks import architecture_from_json
from easytransfer_mtl.models.sharing import SHARINGS as STRUCTURES
from easytransfer_mtl.models.sharing.sizes import size_of
from easytransfer_mtl.models.sharing_options import OPTIONS_OF, OPTIONS_OF_PART, SharingOptions, options_read
from easytransfer_mtl.runs import memory as machine_memory
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.training.memory_estimate import tell
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., TrainSettings]
GRAM = {"loss_weighting": "mgda", "step_mode": "joint"}


def test_settings_options_and_structures_agree() -> None:
    declared, kept = options_of(SharingSettings), {field.name: field.default for field in fields(SharingOptions)}
    assert {name: declared[name].default for name in kept} == kept
    assert set(declared) - set(kept) == {"config", "sharing"}
    assert set(SHARINGS) == set(STRUCTURES) == set(OPTIONS_OF)
    read = [options_read(sharing, part) for sharing in OPTIONS_OF for part in OPTIONS_OF_PART]
    assert {name for names in read for name in names} == set(kept) and set(OPTIONS_OF_PART) == set(PRIVATE_PARTS)
    assert COMBINATIONS == ("concat", "gate")


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
            "Set --sharing=shared_private --private_part=top or encoder, or leave it out",
        ),
        ({"sharing": "shared_private", "private_width": 7}, "private_width has no effect .* --private_part=encoder, or"),
        ({"soft_weight": 9.0, "memory_slots": 99}, "soft_weight has no effect with sharing hard. Set --sharing=soft, or"),
        (
            {"sharing": "shared_private", "private_layers": 0, "combine": "gate"},
            "combine has no effect with sharing shared_private, private_part top without private layers",
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
        ({"sharing": "mmoe", "distribution_strategy": "MirroredStrategy"}, "mmoe works without distribution_strategy only"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_built(
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


def test_more_memory_than_there_is_is_refused_and_told_of_hard_sharing(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine_memory, "machine_gb", lambda: 0.5)
    advice = "Lower --train_batch_size or convert's --sequence_length{}, take a smaller encoder, or set --sharing=hard"
    with pytest.raises(UserError, match=rf"soft needs about 1\.3 GB .* this machine has 0\.5 GB. {advice.format('')}"):
        prepare(tiny_settings(sharing="soft"))
    changes = {"sharing": "shared_private", "private_part": "adapter"}
    with pytest.raises(UserError, match=advice.format(", --private_layers, --adapter_size")):
        prepare(tiny_settings(**changes))
    prepare(tiny_settings())
    assert "training needs about 1.1 GB" in caplog.text


def test_memory_grows_with_what_needs_it(tiny_settings: Settings) -> None:
    def gb(**changes: Any) -> float:
        return prepare(tiny_settings(**changes)).model.memory.gb

    hard = gb()
    assert 1.0 < hard < gb(sharing="soft", soft_weight=0.0) < gb(sharing="soft") < 1.5
    assert hard < gb(train_batch_size=8) and hard < gb(num_accumulated_batches=2, train_batch_size=8)
    assert hard > gb(precision="bfloat16")
    assert gb(step_mode="joint") < gb(**GRAM)


def test_a_run_tells_its_parameters_logs_its_penalty_and_goes_on_as_what_it_is(
    tiny_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"sharing": "shared_private", "orthogonality_weight": 0.5, "combine": "gate", "save_steps": 3}
    with caplog.at_level(logging.INFO):
        model = run_training(tiny_settings(**changes)).model
    size = size_of(model.architecture, model.encoder.config, model.tasks)
    told = f"sharing: shared_private, {size.total:,} parameters: encoder {size.encoder:,}, shared beside it 0, private"
    assert told in caplog.text and "estimated memory: 1.3 GB of" in caplog.text
    assert "against hard sharing: 1.20 x the products of a step" in caplog.text
    folder = RunFolder(Path(tiny_settings().model_dir))
    assert folder.read_architecture() == model.architecture
    header, *rows = [line.split(",") for line in (folder.path / "metrics.csv").read_text(encoding="utf-8").splitlines()]
    penalties = [float(row[header.index("penalty")]) for row in rows]
    assert len(penalties) == 6 and all(0 < penalty <= 0.5 for penalty in penalties)
    assert type(build_model(folder).sharing) is type(model.sharing)
    for other in ({"sharing": "hard"}, {**changes, "combine": "concat"}):
        with pytest.raises(UserError, match="is a run of another architecture \\(sharing"):
            run_training(tiny_settings(**other))
    run_training(tiny_settings(**changes))  # finished


def test_what_multiplies_nothing_is_told_without_a_ratio(tiny_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = prepare(tiny_settings(sharing="soft", features="layer0.mean")).model
    tell(found.memory, found.architecture)
    assert "against hard sharing: 3.00 x the parameters" in caplog.text


def test_a_run_without_a_penalty_has_no_column_for_it(tiny_settings: Settings) -> None:
    run_training(tiny_settings(num_epochs=0.1))
    path = Path(tiny_settings().model_dir)
    assert "penalty" not in (path / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    with pytest.raises(UserError, match="is a run of another architecture \\(sharing: hard -> mmoe"):
        run_training(tiny_settings(num_epochs=0.1, sharing="mmoe"))


def test_architectures_are_read_back_and_damaged_ones_named() -> None:
    architecture = Architecture("ple", 0.2, SharingOptions(expert_size=7))
    assert architecture_from_json(json.loads(json.dumps(architecture.to_json())), "x") == architecture
    assert architecture_from_json({}, "x") == Architecture()
    for damaged in ([], {"sharing_options": {"slots": 3}}, {"sharing_options": 3}, {"depth": 2}):
        with pytest.raises(UserError, match="x is damaged"):
            architecture_from_json(damaged, "x")
