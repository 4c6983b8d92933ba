"""What a pre-training run needs of memory: told sizes are the built model's, and all that costs is in the estimate."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.pretraining import memory_estimate
from easytransfer_mtl.pretraining.memory_estimate import check_memory, estimated_gb, num_parameters
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.runs import memory as machine_memory

Settings = Callable[..., PretrainSettings]


@pytest.mark.parametrize("name", ["bert", "electra small", "albert", "roformer", "deberta"])
def test_the_parameters_are_those_of_the_built_model(
    name: str, make_encoder: Callable[..., Encoder], settings: Settings
) -> None:
    encoder = make_encoder(name)
    model = MaskedLanguageModel(encoder, settings())
    variables = [*encoder.canonical_variables.values(), *model.stored_parts.values()]
    assert num_parameters(encoder.config) == sum(variable.shape.num_elements() for variable in variables)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"train_batch_size": 16}, True), ({"mask_share": 0.3}, True), ({"precision": "bfloat16"}, False),
    ],
)  # fmt: skip
def test_what_costs_memory_is_in_the_estimate(
    changes: dict[str, Any], more: bool, make_encoder: Callable[..., Encoder], settings: Settings
) -> None:
    config = make_encoder("bert").config
    plain, found = (estimated_gb(settings(**given), config, 16) for given in ({}, changes))
    assert (found > plain) if more else (found < plain)
    assert estimated_gb(settings(), config, 12) < plain


def test_states_and_scores_are_counted_number_by_number(make_encoder: Callable[..., Encoder], settings: Settings) -> None:
    config = make_encoder("bert").config  # 2 layers of 8, inner width 16, 2 heads, 25 tokens
    parameters = num_parameters(config)
    states, scores = 8 * 16 * 2 * (8 * 8 + 2 * 16 + 2 * 2 * 16), 8 * 16 * 0.15 * 2 * 25
    found = estimated_gb(settings(), config, 16) - memory_estimate.PROGRAM_GB
    assert found == pytest.approx(4 * (4 * parameters + states + scores) / 1e9, rel=1e-6)


def test_more_than_the_machine_has_is_a_warning(
    settings: Settings,
    make_encoder: Callable[..., Encoder],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_encoder("bert").config
    with caplog.at_level(logging.INFO):
        check_memory(settings(), config, 16)
        assert "estimated memory: 1.5 GB of" in caplog.text and "needs about" not in caplog.text
        monkeypatch.setattr(machine_memory, "machine_gb", lambda: 0.5)
        check_memory(settings(), config, 16)
    assert "pre-training needs about 1.5 GB; this machine has 0.5 GB. Lower --train_batch_size" in caplog.text
