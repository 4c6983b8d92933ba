"""The encoder types, by the ``model_type`` in their config.json: how each is built, saved and completed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import transformers
from transformers import PretrainedConfig

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.bert_variants import VariantEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.fused.rotary import position_table
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError

Arrays = dict[str, np.ndarray]
Config = dict[str, Any]
TASK_TYPES, TOKEN_TYPES = "embeddings/task_type_embeddings", "embeddings/token_type_embeddings"
POSITIONS, POSITION_TOLERANCE = "encoder/embed_positions", 0.01
"""RoFormer's stored table of sines and cosines; in half precision it is exact to within the tolerance."""


def _deberta(config: PretrainedConfig, clock: DropoutClock, name: str = "deberta") -> Encoder:
    # Slow to import, and no other type needs it.
    from easytransfer_mtl.encoders.deberta import DebertaEncoder

    return DebertaEncoder(config, clock, name)


def _fold_task_types(arrays: Arrays, value: Config, source: str) -> Arrays:
    """Adds ERNIE's embedding of task type 0, which every token has here, to both token types.

    Raises:
        UserError: an ERNIE's config says that it has task types, but the weights have none.
    """
    if not value.get("use_task_id"):
        return arrays
    if TASK_TYPES not in arrays or TOKEN_TYPES not in arrays:
        # A BERT whose training started from ERNIE may have the setting without the weights.
        if value["model_type"] == "ernie":
            raise UserError(f"{source} has no {TASK_TYPES}, which use_task_id in its config.json says it has.")
        return arrays
    folded = {name: array for name, array in arrays.items() if name != TASK_TYPES}
    folded[TOKEN_TYPES] = arrays[TOKEN_TYPES] + arrays[TASK_TYPES][:1]
    return folded


def _drop_positions(arrays: Arrays, value: Config, source: str) -> Arrays:
    """Removes RoFormer's stored position table if it equals the computed one.

    Raises:
        UserError: the stored table differs.
    """
    stored = arrays.get(POSITIONS)
    if stored is None:
        return arrays
    expected = position_table(value["max_position_embeddings"], value["hidden_size"] // value["num_attention_heads"])
    if stored.shape != expected.shape or not np.allclose(stored, expected, atol=POSITION_TOLERANCE):
        raise UserError(
            f"{source}: {POSITIONS} is not the table of sines and cosines that RoFormer's positions are; a table of "
            "another size and trained positions are not supported."
        )
    return {name: array for name, array in arrays.items() if name != POSITIONS}


@dataclass(frozen=True)
class Kind:
    """A type of encoder.

    Attributes:
        config_class: transformers' class of its config.
        torch_class: transformers' class of its PyTorch model; the TensorFlow class has TF before the name.
        torch_prefix: name of the encoder inside transformers' classes with a head.
        build: config, clock and optionally a name -> encoder with arbitrary values.
        has_pooler: whether published checkpoints have BERT's pooler; the others get a random one.
        precisions: supported number formats.
        shares_layers: whether all layers share their variables.
        has_bert_layers: whether its layers are BERT's, which sharing structures may copy or put parts between.
        adapt: converts weights under canonical names to those of the encoder; also gets config.json and the source of the
            weights.
    """

    config_class: str
    torch_class: str
    torch_prefix: str
    build: Callable[..., Encoder]
    has_pooler: bool = True
    precisions: tuple[str, ...] = ("float32", "bfloat16", "float16")
    shares_layers: bool = False
    has_bert_layers: bool = True
    adapt: Callable[[Arrays, Config, str], Arrays] = lambda arrays, value, source: arrays


_BERT = Kind("BertConfig", "BertModel", "bert", BertEncoder, adapt=_fold_task_types)
KINDS: dict[str, Kind] = {
    "bert": _BERT,
    "ernie": _BERT,
    "albert": Kind("AlbertConfig", "AlbertModel", "albert", VariantEncoder, shares_layers=True),
    "roberta": Kind("RobertaConfig", "RobertaModel", "roberta", BertEncoder),
    "xlm-roberta": Kind("XLMRobertaConfig", "XLMRobertaModel", "roberta", BertEncoder),
    "electra": Kind("ElectraConfig", "ElectraModel", "electra", VariantEncoder, has_pooler=False),
    "roformer": Kind("RoFormerConfig", "RoFormerModel", "roformer", VariantEncoder, has_pooler=False, adapt=_drop_positions),
    "deberta": Kind("DebertaConfig", "DebertaModel", "deberta", _deberta, False, ("float32",), has_bert_layers=False),
    "deberta-v2": Kind("DebertaV2Config", "DebertaV2Model", "deberta", _deberta, False, ("float32",), has_bert_layers=False),
}


def kind_of(config: PretrainedConfig) -> Kind:
    """Returns the kind of a config from ``load_config``."""
    return KINDS[config.model_type]


def transformers_class(name: str) -> type:
    """Returns a class of transformers by name; imports it on demand."""
    return getattr(transformers, name)


def check_precision(config: PretrainedConfig, precision: str) -> None:
    """Raises UserError if an encoder does not support a number format."""
    known = kind_of(config).precisions
    if precision not in known:
        raise UserError(
            f"precision {precision} does not work with model_type {config.model_type}, which computes in "
            f"{' or '.join(known)}; leave the precision out."
        )


def check_frozen_layers(config: PretrainedConfig, num_layers: int) -> None:
    """Raises UserError if an encoder's first layers cannot be frozen: it has fewer, or all layers share variables."""
    depth = config.num_hidden_layers
    if num_layers > depth:
        raise UserError(f"num_freezed_layers is {num_layers}; the encoder has {depth} layers.")
    if kind_of(config).shares_layers and num_layers not in (0, depth):
        raise UserError(
            f"num_freezed_layers is {num_layers}, but all {depth} layers of model_type {config.model_type} are one; "
            f"give 0 or {depth}."
        )
