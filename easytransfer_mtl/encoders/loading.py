"""Loads an encoder from its files: checks the config, matches weights by name, or draws random weights on request."""

import inspect
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from transformers import PretrainedConfig
from transformers.activations_tf import ACT2FN

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tokenization import Vocabulary, warn_of_words
from easytransfer_mtl.encoders.assigning import assign_weights, random_weights
from easytransfer_mtl.encoders.canonical_names import below_model
from easytransfer_mtl.encoders.config_checks import AFTER_PADDING, check_config, check_supported, model_type_of
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.encoders.kinds import KINDS, Kind, transformers_class
from easytransfer_mtl.encoders.name_map import CanonicalWeights, canonical_weights, is_known_irrelevant
from easytransfer_mtl.encoders.vocabularies import check_padding_token, check_size, is_runs_folder
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError, clipped, listed, shown
from easytransfer_mtl.files import read_json

ACTIVATIONS = tuple(sorted(ACT2FN.keys() - {"glu"}))
"""Supported activations: those that keep the width."""
CLASSIFIER = "classifier"
UNNAMED_LABEL = "LABEL_"
"""Start of the names that transformers gives to labels without names; the label's number follows."""
LEFT_OUT = {
    "megatron-bert": "Its LayerNorms stand before attention and dense layers; the layers here are those of BERT.",
    "nezha": "Its attention adds relative positions to keys and values; the layers here are those of BERT.",
}
"""Types in BERT's form that are not supported -> why."""
BEYOND_SIGNATURE = frozenset(
    ("embedding_size", "attention_head_size", "position_buckets", "share_att_key", "norm_rel_ebd", "conv_kernel_size")
    + ("conv_act", "conv_groups", "tokenizer_class")
)
"""Settings that transformers' DeBERTa reads although its config does not declare them, and one that AutoTokenizer needs."""


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder, its vocabulary, and the task heads in its checkpoint, see ``CanonicalWeights``."""

    encoder: Encoder
    vocabulary: AnyVocabulary
    heads: dict[str, np.ndarray]


def load_config(files: EncoderFiles, gelu: str = "auto") -> PretrainedConfig:
    """Reads and checks an encoder's config.json.

    Args:
        files: the encoder's files.
        gelu: ``tanh`` or ``exact`` forces one; ``auto`` takes tanh where EasyTransfer used it, else the config's activation.

    Returns:
        The config of the encoder to build; ERNIE and EasyTransfer's RoBERTa become BERT.

    Raises:
        UserError: the type or a setting is not supported, or a setting is missing or absurd.
    """
    return _config_of(_read_config(files), files, gelu)


def labels_of(files: EncoderFiles) -> tuple[str, ...] | None:
    """Returns the labels of a fine-tuned model's classifier in their order, None if its config.json does not name them.

    Raises:
        UserError: the config's ``id2label`` is no object of consecutive numbers from 0 and labels.
    """
    value = read_json(files.config_file, "encoder config")
    found = value.get("id2label") if isinstance(value, dict) else None
    if found is None:
        return None
    numbers = list(map(str, range(len(found)))) if isinstance(found, dict) else []
    if not numbers or found.keys() != set(numbers) or not all(type(label) in (str, int) for label in found.values()):
        raise UserError(
            f"{files.config_file}: id2label is {shown(found)}; expected an object of the numbers from 0 on and a label each."
        )
    return tuple(str(found[number]) for number in numbers)


def are_unnamed(labels: tuple[str, ...]) -> bool:
    """Returns whether labels are LABEL_0, LABEL_1, ..., which transformers writes if nobody gave them names."""
    return labels == tuple(f"{UNNAMED_LABEL}{number}" for number in range(len(labels)))


def _read_config(files: EncoderFiles) -> dict[str, Any]:
    """Reads and checks config.json; in the result, ``model_type`` is a key of ``KINDS``."""
    path = files.config_file
    value = read_json(path, "encoder config")
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object.")
    model_type = model_type_of(value, files.tanh_gelu)
    if not isinstance(model_type, str) or model_type not in KINDS:
        reason = f" {LEFT_OUT[model_type]}" if isinstance(model_type, str) and model_type in LEFT_OUT else ""
        raise UserError(
            f"{path}: model_type is {shown(model_type)}; supported are bert (also RoBERTa-wwm, MacBERT and other encoders "
            f"in BERT form) and {', '.join(list(KINDS)[1:])}.{reason}"
        )
    check_config(value, model_type, str(path))
    try:
        check_supported(value, model_type, str(path))
    except UserError:
        # An encoder that a run wrote was trained as it is computed here, whatever its config says.
        if not is_runs_folder(files.folder):
            raise
    return {**value, "model_type": model_type}


def _config_of(value: dict[str, Any], files: EncoderFiles, gelu: str) -> PretrainedConfig:
    model_type = value["model_type"]
    config_class = transformers_class(KINDS[model_type].config_class)
    # The other settings in config.json, such as the labels of a fine-tuned model, do not concern the encoder.
    known = BEYOND_SIGNATURE.union(inspect.signature(config_class).parameters) - {"self", "kwargs"}
    try:
        config = config_class(**{key: content for key, content in value.items() if key in known and content is not None})
    except Exception as error:
        # transformers accepts any value, and fails in many ways where it uses one.
        raise UserError(
            f"{files.config_file} cannot be read by transformers ({type(error).__name__}: {clipped(str(error))}). Compare "
            "it with the config.json of the model's page."
        ) from None
    config.hidden_act = _activation(config.hidden_act, gelu, files.tanh_gelu)
    for key in ("hidden_act", "conv_act"):
        if getattr(config, key, ACTIVATIONS[0]) not in ACTIVATIONS:
            raise UserError(
                f"{files.config_file}: {key} is {shown(getattr(config, key))}; known are {', '.join(ACTIVATIONS)}."
            )
    return config


def _activation(configured: str, gelu: str, tanh_gelu: bool) -> str:
    if gelu == "auto":
        # Some encoders, such as Google's large Chinese ALBERTs, were trained with another activation, as their configs say.
        return "gelu_new" if tanh_gelu and configured == "gelu" else configured
    return "gelu_new" if gelu == "tanh" else "gelu"


def check_embeddings(files: EncoderFiles, config: PretrainedConfig) -> None:
    """Raises UserError if an encoder's vocabulary has more tokens than its config has embeddings, or another padding."""
    check_size(files.vocabulary, files.vocabulary_file, config.vocab_size, files.config_file)
    if config.model_type in AFTER_PADDING:
        check_padding_token(files.vocabulary, files.vocabulary_file, config.to_dict()["pad_token_id"], files.config_file)


def _checked_vocabulary(files: EncoderFiles, config: PretrainedConfig) -> AnyVocabulary:
    check_embeddings(files, config)
    vocabulary, path = files.vocabulary, files.vocabulary_file
    if len(vocabulary) < config.vocab_size:
        unused = config.vocab_size - len(vocabulary)
        sizes = f"{len(vocabulary)} tokens, the encoder {config.vocab_size} embeddings"
        logging.info("%s has %s: %d are no token's", path, sizes, unused)
    if isinstance(vocabulary, Vocabulary):
        warn_of_words(vocabulary, path)
    return vocabulary


def _without_its_heads_pooler(weights: CanonicalWeights, kind: Kind) -> dict[str, np.ndarray]:
    """Returns the encoder's weights without a pooler that belongs to a classifier: DeBERTa's is not BERT's."""
    if kind.has_pooler or not any(CLASSIFIER in below_model(name) for name in (*weights.beside, *weights.heads)):
        return weights.encoder
    return {name: array for name, array in weights.encoder.items() if name not in POOLER}


def _check_heads(heads: Collection[str], weights: CanonicalWeights, source: str) -> None:
    """Raises UserError if a checkpoint lacks a head that ``--take_heads`` names."""
    for head in heads:
        if not weights.heads.keys() >= {f"{head}/kernel", f"{head}/bias"}:
            others = listed([*weights.heads, *weights.beside])
            raise UserError(
                f"{source} has no head {shown(head)} of one dense layer (weight, or kernel, and bias), which --take_heads "
                f"names. Beside the encoder it has: {others or 'nothing'}."
            )


def load_encoder(
    files: EncoderFiles,
    clock: DropoutClock,
    random_init: bool = False,
    random_pooler: bool = False,
    gelu: str = "auto",
    take_heads: Mapping[str, bool] = MappingProxyType({}),
) -> LoadedEncoder:
    """Builds an encoder and loads its weights.

    Args:
        files: where config, vocabulary and weights are.
        clock: drives dropout; its seed also draws random weights.
        random_init: draw random weights and read none.
        random_pooler: allow a checkpoint without pooler (such as a masked language model's) and draw a random one; types
            whose published checkpoints have none do not need this.
        gelu: see ``load_config``.
        take_heads: ``head_name`` of the checkpoint's heads to return beside EasyTransfer's -> whether it reads the pooled
            output.

    Raises:
        UserError: a file is missing or damaged, the weights do not match the config by name, or a head is missing.
    """
    value = _read_config(files)
    config, kind = _config_of(value, files, gelu), KINDS[value["model_type"]]
    vocabulary = _checked_vocabulary(files, config)
    weights = None if random_init else canonical_weights(read_weights(files.location), take_heads)
    encoder = kind.build(config, clock)
    encoder.has_types = vocabulary.has_types
    if weights is None:
        assign_weights(encoder, random_weights(encoder, clock.seed), (), "a random start")
        logging.info("Encoder: random start of %s", files.config_file)
        return LoadedEncoder(encoder, vocabulary, {})
    _check_heads(take_heads, weights, str(files.location))
    of_pooled = ", ".join(name for name, reads_pooled in take_heads.items() if reads_pooled)
    arrays = kind.adapt(_without_its_heads_pooler(weights, kind), value, str(files.location))
    if (random_pooler or not kind.has_pooler) and not arrays.keys() >= set(POOLER):
        arrays = {**random_weights(encoder, clock.seed, POOLER), **arrays}
        logging.info("The checkpoint has no pooler: a random one is drawn")
        if of_pooled:
            logging.warning(
                "The head %s of --take_heads reads a random pooler now, not what it was trained on, so what it has learned "
                "is of little use; leave --take_heads out unless that is wanted.",
                of_pooled,
            )
    elif of_pooled and not arrays.keys() & set(POOLER):
        raise UserError(
            f"{files.location} has no pooler, whose output the head {of_pooled} (--take_heads) is to read: it "
            "was trained on something else, such as the tokens' states. Leave --take_heads out, so that the head starts at "
            "random, and give --random_pooler; with both, the head starts from what it has learned, on a random pooler."
        )
    unknown = tuple(name for name in weights.beside if not is_known_irrelevant(name))
    assign_weights(encoder, arrays, weights.left_over, str(files.location), unknown)
    logging.info("Load weights from %s", files.location)
    if weights.beside:
        logging.info("No part of the encoder, which leaves it aside: %s", weights.beside_text())
    return LoadedEncoder(encoder, vocabulary, dict(weights.heads))
