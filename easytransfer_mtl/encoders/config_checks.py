"""What an encoder's config.json must hold before anything is built from it."""

from typing import Any

from easytransfer_mtl.errors import UserError

LIMITS = {
    "vocab_size": 1_000_000,
    "hidden_size": 16_384,
    "num_hidden_layers": 200,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 64,
}
OPTIONAL = {
    "embedding_size": (1, 16_384),
    "attention_head_size": (1, 16_384),
    "position_buckets": (-1, 65_536),
    "max_relative_positions": (-1, 65_536),
    "conv_kernel_size": (0, 63),
}
"""Sizes that some types have, and that may be missing or null."""
RANGES = {
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "initializer_range": (0, 10),
    "layer_norm_eps": (0, 1),
}
FIXED = {
    "num_hidden_groups": (1, "the layers of every published ALBERT are one group"),
    "inner_group_num": (1, "the layers of every published ALBERT are single"),
    "talking_head": (False, "transformers' TensorFlow DeBERTa cannot build it"),
    "conv_groups": (1, "transformers' TensorFlow DeBERTa knows no others"),
}
"""Settings of which one value is supported, and why."""


def check_config(value: dict[str, Any], model_type: str, where: str) -> None:
    """Checks sizes, probabilities and settings.

    Args:
        value: the parsed config.json.
        model_type: what it is the config of.
        where: the file, for errors.

    Raises:
        UserError: something is missing, absurd or not supported.
    """
    for key, limit in LIMITS.items():
        low = 0 if key == "type_vocab_size" and model_type.startswith("deberta") else 1
        _check_whole(value.get(key, 2 if key == "type_vocab_size" else None), key, low, limit, where)
    for key, (low, limit) in OPTIONAL.items():
        if value.get(key) is not None:
            _check_whole(value[key], key, low, limit, where)
    for key, (only, reason) in FIXED.items():
        if value.get(key, only) != only:
            raise UserError(f"{where}: {key} is {value[key]!r}; only {only} is supported: {reason}.")
    check_heads(value["hidden_size"], value["num_attention_heads"], model_type, where)
    _check_numbers(value, where)


def _check_whole(size: Any, key: str, low: int, limit: int, where: str) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not low <= size <= limit:
        raise UserError(f"{where}: {key} is {size!r}; expected a whole number from {low} to {limit}.")


def check_heads(width: int, heads: int, model_type: str, where: str) -> None:
    """Raises UserError if a type's layers cannot be so wide with so many heads."""
    if width % heads:
        raise UserError(f"{where}: hidden_size {width} cannot be divided among {heads} heads.")
    if model_type == "roformer" and width // heads % 2:
        raise UserError(
            f"{where}: RoFormer's heads have an even width; hidden_size {width} and {heads} heads give an odd one."
        )


def _check_numbers(value: dict[str, Any], where: str) -> None:
    for key, (low, high) in RANGES.items():
        number = value.get(key, low)
        if not isinstance(number, (int, float)) or isinstance(number, bool) or not low <= number < high:
            raise UserError(f"{where}: {key} is {number!r}; expected a number from {low} to below {high}.")
