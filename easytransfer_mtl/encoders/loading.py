"""Encoder files to a ready encoder: config checked, weights matched name by name, or random on purpose."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import BertConfig
from transformers.activations_tf import ACT2FN

from easytransfer_mtl.data.tokenization import Vocabulary, load_vocabulary
from easytransfer_mtl.encoders.bert import BertEncoder, assign_weights, random_weights
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.name_map import canonical_weights
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json

MODEL_TYPES = ("bert", "roberta")
POOLER = ("pooler/dense/kernel", "pooler/dense/bias")
LIMITS = {
    "vocab_size": 1_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 200,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 64,
}
RANGES = {
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "initializer_range": (0, 10),
    "layer_norm_eps": (0, 1),
}
ACTIVATIONS = tuple(sorted(ACT2FN))


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder with its vocabulary, and the task heads that its checkpoint held (canonical name -> array)."""

    encoder: BertEncoder
    vocabulary: Vocabulary
    heads: dict[str, np.ndarray]


def load_config(files: EncoderFiles, gelu: str = "auto") -> BertConfig:
    """Reads and checks an encoder's config.json.

    Args:
        files: the encoder's files.
        gelu: ``tanh`` or ``exact`` to insist; ``auto`` takes tanh where EasyTransfer used it, else the config's.

    Raises:
        UserError: the config is not a BERT's, or a size is missing or absurd.
    """
    path = files.config_file
    value = read_json(path, "encoder config")
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object.")
    model_type = value.get("model_type", "bert")
    if model_type not in MODEL_TYPES or (model_type == "roberta" and not files.tanh_gelu):
        raise UserError(
            f"{path}: model_type is {model_type!r}; supported are bert (also RoBERTa-wwm, MacBERT and other encoders in "
            "BERT form) and EasyTransfer's roberta, which is in BERT form too."
        )
    _check_sizes(value, str(path))
    _check_numbers(value, str(path))
    value = {key: content for key, content in value.items() if key not in ("model_type", "architectures")}
    value["hidden_act"] = _activation(value.get("hidden_act", "gelu"), gelu, files.tanh_gelu)
    if value["hidden_act"] not in ACTIVATIONS:
        raise UserError(f"{path}: hidden_act is {value['hidden_act']!r}; known are {', '.join(ACTIVATIONS)}.")
    return BertConfig(**value)


def _check_sizes(value: dict[str, Any], where: str) -> None:
    for key, limit in LIMITS.items():
        size = value.get(key, 2 if key == "type_vocab_size" else None)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= limit:
            raise UserError(f"{where}: {key} is {size!r}; expected a whole number from 1 to {limit}.")
    if value["hidden_size"] % value["num_attention_heads"]:
        raise UserError(
            f"{where}: hidden_size {value['hidden_size']} cannot be divided among {value['num_attention_heads']} heads."
        )


def _check_numbers(value: dict[str, Any], where: str) -> None:
    for key, (low, high) in RANGES.items():
        number = value.get(key, low)
        if not isinstance(number, (int, float)) or isinstance(number, bool) or not low <= number < high:
            raise UserError(f"{where}: {key} is {number!r}; expected a number from {low} to below {high}.")


def _activation(configured: str, gelu: str, tanh_gelu: bool) -> str:
    if gelu == "auto":
        return "gelu_new" if tanh_gelu else configured
    return "gelu_new" if gelu == "tanh" else "gelu"


def load_encoder(
    files: EncoderFiles, clock: DropoutClock, random_init: bool = False, random_pooler: bool = False, gelu: str = "auto"
) -> LoadedEncoder:
    """Builds an encoder and gives it its weights.

    Args:
        files: where config, vocabulary and weights are.
        clock: drives dropout; its seed also draws random weights.
        random_init: start from random weights and read none.
        random_pooler: allow a checkpoint without pooler (such as a masked language model's) and draw a random one.
        gelu: see ``load_config``.

    Raises:
        UserError: a file is missing or damaged, or the weights do not match the config name by name.
    """
    config = load_config(files, gelu)
    vocabulary = load_vocabulary(files.vocabulary_file)
    if len(vocabulary) > config.vocab_size:
        raise UserError(
            f"{files.vocabulary_file} has {len(vocabulary)} tokens, more than vocab_size {config.vocab_size} of "
            f"{files.config_file}; they do not belong together."
        )
    weights = None if random_init else canonical_weights(read_weights(files.location))
    encoder = BertEncoder(config, clock)
    if weights is None:
        assign_weights(encoder, random_weights(encoder, clock.seed), (), "a random start")
        logging.info("Encoder: random start of %s", files.config_file)
        return LoadedEncoder(encoder, vocabulary, {})
    arrays = dict(weights.encoder)
    if random_pooler:
        arrays = {**random_weights(encoder, clock.seed, POOLER), **arrays}
    assign_weights(encoder, arrays, weights.left_over, str(files.location))
    logging.info("Load weights from %s", files.location)
    return LoadedEncoder(encoder, vocabulary, dict(weights.heads))
