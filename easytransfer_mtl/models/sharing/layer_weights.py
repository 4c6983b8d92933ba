"""Weights of an encoder's parts, written ``embeddings=0.1,0-5,6-11=0.5,pooler``."""

import re

import tensorflow as tf
from transformers import PretrainedConfig

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.values import to_number

EMBEDDINGS, POOLER = "embeddings", "pooler"
LARGEST_WEIGHT = 1e6


def parse_layer_weights(name: str, text: str | None, num_layers: int) -> dict[str, float]:
    """Returns part -> weight, the parts being ``embeddings``, ``0``, ``1``, ... and ``pooler``.

    Args:
        name: the setting, for errors.
        text: parts or ranges of layers, each with an optional weight (default 1); parts that are not named are left out of
            the result. None means all parts with weight 1.
        num_layers: of the encoder.

    Raises:
        UserError: a part is unknown, not in the encoder or named twice, or a weight is not a number from 0 to
            ``LARGEST_WEIGHT``.
    """
    if text is None:
        return dict.fromkeys([EMBEDDINGS, *map(str, range(num_layers)), POOLER], 1.0)
    found: dict[str, float] = {}
    for item in text.split(","):
        part, sign, number = (word.strip() for word in item.partition("="))
        weight = _weight(number) if sign else 1.0
        parts = _parts(part, num_layers)
        if not parts or weight is None or found.keys() & set(parts):
            raise UserError(
                f"{name}: {shown(item.strip())} is not a part of the encoder with a weight from 0 to {LARGEST_WEIGHT:g}, or "
                f"is there twice; the encoder has embeddings, the layers 0 to {num_layers - 1}, and pooler, as in "
                "embeddings=0.1,0-1,pooler=0.5."
            )
        found |= dict.fromkeys(parts, weight)
    return found


def num_tied_layers(config: PretrainedConfig) -> int:
    """Returns the number of layers with separate variables: 1 for ALBERT, whose layers share theirs."""
    return 1 if kind_of(config).shares_layers else config.num_hidden_layers


def variables_by_part(encoder: Encoder) -> dict[str, list[tf.Variable]]:
    """Returns part -> the encoder's variables in it; ``Encoder.depth_of`` determines a variable's part."""
    highest = num_tied_layers(encoder.config) - 1
    names = [EMBEDDINGS, *(str(min(layer, highest)) for layer in range(encoder.config.num_hidden_layers)), POOLER]
    parts: dict[str, list[tf.Variable]] = {}
    for variable in encoder.canonical_variables.values():
        parts.setdefault(names[encoder.depth_of(variable)], []).append(variable)
    return parts


def _weight(text: str) -> float | None:
    try:
        value = to_number(text, float)
    except (ValueError, OverflowError):
        return None
    return value if 0 <= value <= LARGEST_WEIGHT else None


def _parts(text: str, num_layers: int) -> list[str]:
    if text in (EMBEDDINGS, POOLER):
        return [text]
    match = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", text)
    if not match:
        return []
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    return [str(layer) for layer in range(first, last + 1)] if last < num_layers else []
