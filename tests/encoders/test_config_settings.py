"""Settings of config.json that change what an encoder computes: computed, or refused by name; others never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_config, load_encoder
from easytransfer_mtl.errors import UserError

Written = Callable[..., Path]
NARROW = {"albert": {"embedding_size": 4}, "electra": {"embedding_size": 4}}


@pytest.fixture
def written(tiny_encoder: Path, tmp_path: Path) -> Written:
    """Writes a folder with a config of a type, with changes."""

    def write(model_type: str = "bert", **changes: Any) -> Path:
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_encoder, folder, dirs_exist_ok=True)
        value = json.loads((tiny_encoder / "config.json").read_text(encoding="utf-8"))
        value |= {"model_type": model_type, **NARROW.get(model_type, {}), **changes}
        (folder / "config.json").write_text(json.dumps(value), encoding="utf-8")
        return folder

    return write


def start(folder: Path) -> Any:
    return load_encoder(find_encoder(str(folder)), DropoutClock(0), random_init=True).encoder


@pytest.mark.parametrize(
    "model_type, changes, named",
    [
        ("bert", {"is_decoder": True}, "is_decoder is True; only False is supported"),
        ("bert", {"is_decoder": "false"}, "is_decoder is 'false'"),
        ("electra", {"is_decoder": True}, "is_decoder is True"),
        ("roformer", {"is_decoder": True}, "is_decoder is True"),
        ("bert", {"add_cross_attention": True}, "add_cross_attention is True"),
        ("bert", {"is_encoder_decoder": True}, "is_encoder_decoder is True"),
        ("bert", {"pruned_heads": {"0": [1]}}, "pruned_heads is {'0': [1]}"),
        ("bert", {"pruned_heads": [1]}, "pruned_heads is [1]"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ("ernie", {"position_embedding_type": "relative_key_query"}, "position_embedding_type is"),
        ("albert", {"position_embedding_type": "relative_key"}, "position_embedding_type is"),
        ("electra", {"position_embedding_type": "relative_key"}, "position_embedding_type is"),
        ("bert", {"embedding_size": 4}, "embedding_size is 4 and hidden_size 8"),
        ("bert", {"attention_head_size": 8}, "attention_head_size is 8"),
        ("xlm-roberta", {}, "pad_token_id is missing; positions of model_type xlm-roberta begin behind it"),
        ("roberta", {"pad_token_id": None}, "pad_token_id is None; positions of model_type roberta"),
        ("roberta", {"pad_token_id": -1}, "pad_token_id is -1; "),
        ("roberta", {"pad_token_id": True}, "pad_token_id is True; "),
        ("xlm-roberta", {"pad_token_id": 99_999}, "from 0 to below max_position_embeddings - 1"),
        ("xlm-roberta", {"pad_token_id": 1, "position_embedding_type": "relative_key"}, "position_embedding_type is"),
        ("megatron-bert", {}, "model_type is 'megatron-bert'; supported are bert"),
        ("megatron-bert", {}, "Its LayerNorms stand before attention and dense layers"),
        ("nezha", {}, "Its attention adds relative positions to keys and values"),
        ("bert", {"directionality": "left"}, "directionality is 'left'"),
        ("bert", {"use_relative_position": True}, "use_relative_position is True"),
        ("bert", {"ln_type": "preln"}, "ln_type is 'preln'"),
        ("roformer", {"norm_type": "rms_norm"}, "norm_type is 'rms_norm'"),
        ("roformer", {"use_bias": False}, "use_bias is False"),
        ("roformer", {"rotary_value": "false"}, "rotary_value is 'false'; expected true or false"),
        ("ernie", {"use_task_id": "no"}, "use_task_id is 'no'"),
        ("bert", {"hidden_act": "glu"}, "hidden_act is 'glu'"),
        ("deberta", {"pos_att_type": "c2p|p2p"}, "pos_att_type is 'c2p|p2p'"),
        ("deberta", {"pos_att_type": ["c2p", "c2p"]}, "pos_att_type is ['c2p', 'c2p']"),
        ("deberta-v2", {"pos_att_type": 3}, "pos_att_type is 3"),
        ("deberta-v2", {"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd is 'batch_norm'"),
        ("deberta-v2", {"norm_rel_ebd": ["layer_norm"]}, "norm_rel_ebd is ['layer_norm']"),
        ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "softplus"}, "conv_act is 'softplus'"),
        ("deberta-v2", {"relative_attention": 1}, "relative_attention is 1; expected true or false"),
        ("deberta-v2", {"conv_groups": 2}, "conv_groups is 2"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(model_type: str, changes: Any, named: str, written: Written) -> None:
    with pytest.raises(UserError) as error:
        start(written(model_type, **changes))
    assert named in str(error.value) and "config.json" in str(error.value)


@pytest.mark.parametrize("model_type", ["bert", "ernie", "albert", "electra", "roformer", "deberta", "deberta-v2"])
def test_values_that_change_nothing_are_taken(model_type: str, written: Written) -> None:
    usual = {
        "is_decoder": False, "add_cross_attention": False, "pruned_heads": {"0": []}, "position_embedding_type": "absolute",
        "chunk_size_feed_forward": 4, "tie_word_embeddings": False, "gradient_checkpointing": True, "use_cache": True,
        "directionality": "bidi", "pooler_type": "first_token_transform", "pooler_fc_size": 768, "output_attentions": True,
        "return_dict": False, "torchscript": True, "embedding_size": None, "conv_act": None, "norm_rel_ebd": None,
        "pos_att_type": None, "hidden_act": None, "type_vocab_size": 2,
    }  # fmt: skip
    config = load_config(find_encoder(str(written(model_type, **usual))))
    plain = load_config(find_encoder(str(written(model_type, embedding_size=None))))
    assert config.to_dict() == {**plain.to_dict(), "hidden_act": config.hidden_act}


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": ["a", "b"]}, {"id2label": "x"}, {"id2label": {"a": 1}}, {"label2id": 3}, {"num_labels": "2"},
        {"problem_type": "guess"}, {"torch_dtype": "no_such_type"}, {"dtype": 7}, {"architectures": 1}, {"to_dict": 1},
        {"name_or_path": []}, {"attribute_map": {"a": 1}}, {"self": 1}, {"kwargs": {"a": 1}}, {"output_attentions": "yes"},
        {"attn_implementation": "none"}, {"use_return_dict": False}, {"task_specific_params": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("model_type", ["bert", "deberta-v2"])
def test_settings_of_other_things_are_no_matter(model_type: str, changes: dict[str, Any], written: Written) -> None:
    config = load_config(find_encoder(str(written(model_type, **changes))))
    assert json.loads(config.to_json_string())["hidden_size"] == 8
    assert config.num_labels == 2


def test_a_run_whose_config_has_such_a_setting_goes_on(written: Written) -> None:
    folder = written(is_decoder=True)
    (folder / "export.json").write_text('{"easytransfer_mtl": "0.1.0"}', encoding="utf-8")
    assert load_config(find_encoder(str(folder))).hidden_size == 8


def test_tokenizers_class_stays_for_transformers(written: Written) -> None:
    folder = written("deberta-v2", tokenizer_class="BertTokenizer")
    assert load_config(find_encoder(str(folder))).tokenizer_class == "BertTokenizer"


@pytest.mark.parametrize("hidden_act", ["relu", "gelu", "gelu_new", "silu"])
def test_an_activation_other_than_gelu_is_the_configs_from_every_checkpoint(hidden_act: str, written: Written) -> None:
    folder = written(hidden_act=hidden_act)
    assert load_config(find_encoder(str(folder))).hidden_act == hidden_act
    (folder / "model.ckpt.index").touch()
    expected = "gelu_new" if hidden_act == "gelu" else hidden_act
    assert load_config(find_encoder(str(folder))).hidden_act == expected


@pytest.mark.parametrize("model_type", ["bert", "albert", "roformer", "deberta"])
def test_of_a_single_token_type_both_texts_are(model_type: str, written: Written, rows: Any) -> None:
    encoder = start(written(model_type, type_vocab_size=1))
    both = (encoder.encode(rows.input_ids, rows.input_mask, types)[0] for types in (rows.segment_ids, 0 * rows.segment_ids))
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("words", ["p2c|c2p", "C2P | p2c", ["c2p"], [], None])
def test_debertas_words_build(words: Any, written: Written, rows: Any) -> None:
    folder = written("deberta-v2", relative_attention=True, pos_att_type=words, type_vocab_size=0)
    assert np.isfinite(start(folder).encode(*rows)[0]).all()
