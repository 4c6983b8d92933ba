"""Saves an encoder as a folder that transformers' PyTorch class of its type loads, and ``load_encoder``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedVocabulary
from easytransfer_mtl.encoders.canonical_names import torch_array, torch_name
from easytransfer_mtl.encoders.config_checks import first_position
from easytransfer_mtl.encoders.finite import check_finite
from easytransfer_mtl.encoders.fused.rotary import position_table
from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.encoders.kinds import POSITIONS, kind_of
from easytransfer_mtl.encoders.vocabularies import TOKENIZER_CONFIG, write_vocabulary
from easytransfer_mtl.encoders.weight_files import ADDITIONAL_FILE, WEIGHTS_FILE
from easytransfer_mtl.encoders.weight_files.safetensors_file import write_safetensors
from easytransfer_mtl.files import write_json

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Head:
    """A head that was trained on top of an encoder and is saved with it.

    Attributes:
        model_class: transformers' class of encoder and head; empty for the encoder's own class.
        arrays: weights under the names and in the shapes of that class.
        additional: weights for which no class of transformers has a place.
    """

    model_class: str = ""
    arrays: Arrays = field(default_factory=dict)
    additional: Arrays = field(default_factory=dict)


def save_encoder(encoder: Encoder, vocabulary: AnyVocabulary, folder: Path, head: Head = Head()) -> None:
    """Writes config.json, model.safetensors, vocab.txt or tokenizer.json, vocabulary.json and tokenizer_config.json.

    ``AutoModel`` and ``AutoTokenizer`` of transformers load them. Weights for which the class has no place (the pooler of
    types without one, ``Head.additional``) go to additional.safetensors, which ``read_weights`` reads too.

    Args:
        encoder: has the weights to save.
        vocabulary: the encoder's tokens.
        folder: created if it does not exist.
        head: saved too.

    Raises:
        NonFiniteError: a weight is NaN or infinite; nothing is written.
    """
    values = {name: variable.numpy() for name, variable in encoder.canonical_variables.items()}
    check_finite({**values, **head.arrays, **head.additional}, "The weights to export")
    config, kind = encoder.config, kind_of(encoder.config)
    stored, additional = _torch_arrays(values, config.model_type), dict(head.additional)
    if not kind.has_pooler:
        additional |= {name: stored.pop(name) for name in (torch_name(part, config.model_type) for part in POOLER)}
    if config.model_type == "roformer":
        width = config.hidden_size // config.num_attention_heads
        stored[torch_name(POSITIONS, "roformer")] = position_table(config.max_position_embeddings, width)
    if head.arrays:
        stored = {f"{kind.torch_prefix}.{name}": array for name, array in stored.items()} | head.arrays
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / WEIGHTS_FILE, stored)
    if additional:
        write_safetensors(folder / ADDITIONAL_FILE, additional)
    write_json(folder / "config.json", _config_json(encoder, head.model_class or kind.torch_class))
    write_json(folder / TOKENIZER_CONFIG, _tokenizer_json(vocabulary, config.to_dict()))
    write_vocabulary(folder, vocabulary)


def _torch_arrays(values: Mapping[str, np.ndarray], model_type: str) -> Arrays:
    return {torch_name(name, model_type): torch_array(name, array) for name, array in values.items()}


def _config_json(encoder: Encoder, model_class: str) -> dict[str, Any]:
    """Returns the config as transformers saves it, with the class of the weights."""
    return {**json.loads(encoder.config.to_json_string(use_diff=True)), "architectures": [model_class]}


def _tokenizer_json(vocabulary: AnyVocabulary, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of the transformers tokenizer that splits texts as this program does, for every encoder type."""
    common: dict[str, Any] = {"model_max_length": config["max_position_embeddings"] - first_position(config)}
    if config["type_vocab_size"] == 1:
        # The tokenizer may give the second text type 1, for which there is no embedding.
        common["model_input_names"] = ["input_ids", "attention_mask"]
    if isinstance(vocabulary, PublishedVocabulary):
        return {"tokenizer_class": "PreTrainedTokenizerFast", **common, **vocabulary.settings}
    return {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **common}
