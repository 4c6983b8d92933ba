"""What a pre-training run needs of memory: told sizes are the built model's, and all that costs is in the estimate."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from transformers import BertConfig, PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.pretraining.memory import PROGRAM_GB, check_memory, estimated_gb
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.runs import memory as machine_memory

Settings = Callable[..., PretrainSettings]
Make = Callable[..., Encoder]


def states_and_scores(config: PretrainedConfig) -> float:
    """Returns the numbers that 8 rows of 16 tokens keep: a layer's states of each, and scores of those to predict."""
    a_token = 8 * config.hidden_size + 2 * config.intermediate_size + 2 * config.num_attention_heads * 16
    return 8 * 16 * (config.num_hidden_layers * a_token + 0.15 * 2 * config.vocab_size)


@pytest.mark.parametrize("name", ["bert", "electra small", "albert", "roformer", "deberta"])
def test_the_parameters_are_those_of_the_built_model(name: str, make_encoder: Make, settings: Settings) -> None:
    encoder = make_encoder(name)
    model = MaskedLanguageModel(encoder, settings())
    found = (estimated_gb(settings(), encoder.config, 16) - PROGRAM_GB) * 1e9 / 4 - states_and_scores(encoder.config)
    stored = [*encoder.canonical_variables.values(), *model.stored_parts.values(), encoder.clock.time]
    assert {id(variable) for variable in stored} == {id(variable) for variable in model.weights}
    assert found / 4 == pytest.approx(sum(variable.shape.num_elements() for variable in stored), abs=1e-3)


def test_a_model_larger_than_any_memory_is_counted(settings: Settings) -> None:
    config = BertConfig(vocab_size=10**9, hidden_size=1024, num_attention_heads=16, intermediate_size=4096)
    assert estimated_gb(settings(), config, 16) > 4 * 4 * 1024  # 4 TB of numbers, four times


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"train_batch_size": 16}, True), ({"mask_share": 0.3}, True), ({"precision": "bfloat16"}, False),
    ],
)  # fmt: skip
def test_what_costs_memory_is_in_the_estimate(
    changes: dict[str, Any], more: bool, make_encoder: Make, settings: Settings
) -> None:
    config = make_encoder("bert").config
    plain, found = (estimated_gb(settings(**given), config, 16) for given in ({}, changes))
    assert (found > plain) if more else (found < plain)
    assert estimated_gb(settings(), config, 12) < plain


def test_states_and_scores_are_counted_number_by_number(make_encoder: Make, settings: Settings) -> None:
    config = make_encoder("bert").config  # 2 layers of 8, inner width 16, 2 heads, 25 tokens
    states, scores = 8 * 16 * 2 * (8 * 8 + 2 * 16 + 2 * 2 * 16), 8 * 16 * 0.15 * 2 * 25
    assert states_and_scores(config) == pytest.approx(states + scores)
    gb = {rows: estimated_gb(settings(train_batch_size=rows), config, 16) for rows in (8, 16)}
    assert gb[16] - gb[8] == pytest.approx(4 * (states + scores) / 1e9, rel=1e-6)
    half = estimated_gb(settings(precision="bfloat16"), config, 16)
    assert gb[8] - half == pytest.approx(2 * (states + scores) / 1e9, rel=1e-6)


def test_more_than_the_machine_has_is_a_warning(
    settings: Settings, make_encoder: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_encoder("bert").config
    with caplog.at_level(logging.INFO):
        check_memory(settings(), config, 16)
        assert "estimated memory: 1.5 GB of" in caplog.text and "needs about" not in caplog.text
        monkeypatch.setattr(machine_memory, "machine_gb", lambda: 0.5)
        check_memory(settings(), config, 16)
    assert "pre-training needs about 1.5 GB; this machine has 0.5 GB. Lower --train_batch_size" in caplog.text
