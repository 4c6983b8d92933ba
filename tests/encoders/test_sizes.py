"""Sizes that are told before an encoder is built are those of the built one."""

from typing import Any

import pytest
from transformers import AlbertConfig, BertConfig, DebertaConfig, DebertaV2Config, PretrainedConfig

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.kinds import KINDS
from easytransfer_mtl.encoders.sizes import encoder_size, encoder_work, layer_work

SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
MORE: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "a setting that BERT does not read": (BertConfig, {"embedding_size": 4}),
    "narrow words": (DebertaConfig, {"embedding_size": 4, "position_biased_input": False}),
    "one kind of positions": (
        DebertaConfig,
        {"relative_attention": True, "pos_att_type": "p2c", "max_relative_positions": 5},
    ),
    "kinds without positions": (DebertaConfig, {"relative_attention": False, "pos_att_type": "c2p|p2c"}),
    "projections of their own": (
        DebertaV2Config,
        {"relative_attention": True, "pos_att_type": "c2p|p2c", "max_relative_positions": 5, "attention_head_size": 3},
    ),
}


def built(config: PretrainedConfig) -> int:
    encoder = KINDS[config.model_type].build(config, DropoutClock(0))
    return sum(variable.shape.num_elements() for variable in encoder.canonical_variables.values())


def test_every_type_has_the_size_that_is_told(config_of_type: PretrainedConfig) -> None:
    assert encoder_size(config_of_type) == built(config_of_type)


@pytest.mark.parametrize("case", MORE)
def test_settings_that_change_the_size(case: str) -> None:
    kind, changes = MORE[case]
    config = kind(**{**SIZES, **changes})
    assert encoder_size(config) == built(config)


def test_a_layer_that_is_all_layers_counts_once_and_works_every_time() -> None:
    few, many = (AlbertConfig(**{**SIZES, "embedding_size": 4, "num_hidden_layers": layers}) for layers in (1, 5))
    assert encoder_size(few) == encoder_size(many)
    assert encoder_work(many) - encoder_work(few) == 4 * layer_work(few)
