"""Converts weights of any layout to canonical names and shapes."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.encoders.canonical_names import below_model, canonical_name, is_in_encoder, scope_of
from easytransfer_mtl.encoders.finite import check_finite
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import is_optimizer_state
from easytransfer_mtl.errors import UserError

# Heads of BERT, RoBERTa, ALBERT, ELECTRA (with its whole generator) and DeBERTa.
_PRETRAINING_HEADS = ("cls", "mlm___cls", "nsp___cls", "predictions", "seq_relationship") + (
    "sop_classifier", "discriminator_predictions", "generator_predictions", "generator_lm_head", "generator",
    "temperature", "lm_head", "lm_predictions", "mask_predictions",
)  # fmt: skip
_PRETRAINING_PARTS = tuple([name] for name in _PRETRAINING_HEADS)
_BUFFERS = ("embeddings/position_ids", "embeddings/token_type_ids")
_TASK_HEAD = re.compile(r"\w+_dense/(kernel|bias)")
_HEAD_PARTS = {"weight": "kernel", "kernel": "kernel", "bias": "bias"}
"""Last part of the stored name of a dense layer's weight -> its canonical one."""
_MATRICES = ("/kernel", "_embeddings", "/embed_positions")


@dataclass(frozen=True)
class CanonicalWeights:
    """Weights under canonical names.

    Attributes:
        encoder: float32 arrays by canonical name; kernels are [in, out], embeddings [rows, hidden].
        heads: float32 arrays of heads of one dense layer, ``tnews_dense/kernel`` [in, labels] and ``tnews_dense/bias``
            [labels]: EasyTransfer's task heads, and those that were asked for.
        left_over: stored names in the encoder's scope that are neither the encoder's nor known to be irrelevant; sorted.
        beside: stored names outside the encoder: other heads, including those for pretraining; sorted.
    """

    encoder: dict[str, np.ndarray]
    heads: dict[str, np.ndarray]
    left_over: tuple[str, ...]
    beside: tuple[str, ...] = ()

    def beside_text(self) -> str:
        """Returns the parts beside the encoder as text, each with its number of weights."""
        counts = Counter(below_model(name)[0] for name in self.beside if below_model(name))
        return ", ".join(f"{part} ({count} weight{'s' if count > 1 else ''})" for part, count in counts.items())


def is_known_irrelevant(name: str) -> bool:
    """Returns whether a stored name does not belong to the encoder and can safely be dropped.

    This holds for pretraining parts (heads for masked words or next sentences, ELECTRA's generator), for buffers of position
    and type ids, and for optimizer state.
    """
    return _is_pretraining_head(name) or _is_no_weight(name)


def _is_pretraining_head(name: str) -> bool:
    return below_model(name)[:1] in _PRETRAINING_PARTS


def _is_no_weight(name: str) -> bool:
    return "/".join(below_model(name)) in _BUFFERS or is_optimizer_state(name)


def head_name(name: str) -> str:
    """Returns the canonical name of a head that is called ``name`` in a checkpoint, for instance ``classifier``."""
    return "/".join(below_model(name)) or name


def canonical_weights(weight_file: WeightFile, heads: Collection[str] = ()) -> CanonicalWeights:
    """Converts weights of any layout to canonical names, canonical shapes and float32.

    Args:
        weight_file: the weights.
        heads: ``head_name`` of the heads to return beside EasyTransfer's; those that are not there are left out.

    Raises:
        UserError: two stored weights have the same canonical name, or a weight is not a float array with the expected number
            of axes.
        NonFiniteError: a weight is NaN or infinite.
    """
    arrays = weight_file.arrays
    stored_names: dict[str, list[str]] = {}
    stored_heads: dict[str, str] = {}
    unknown = set()
    for stored in arrays:
        name = canonical_name(stored)
        if name is not None:
            stored_names.setdefault(name, []).append(stored)
        elif part := _head_part(stored, heads):
            if part in stored_heads:
                raise UserError(
                    f"Weight file {weight_file.path}: {stored_heads[part]!r} and {stored!r} are both the head's {part}. "
                    "Remove one of the two heads."
                )
            stored_heads[part] = stored
        elif not _is_no_weight(stored):
            unknown.add(stored)
    chosen = {name: _only_one(name, group, stored_names, weight_file) for name, group in stored_names.items()}
    encoder = {name: _canonical_array(name, stored, arrays[stored], weight_file) for name, stored in chosen.items()}
    head_arrays = {
        part: _canonical_array(part, stored, arrays[stored], weight_file) for part, stored in stored_heads.items()
    }
    check_finite({chosen[name]: array for name, array in encoder.items()} | head_arrays, f"Weight file {weight_file.path}")
    # A pooler may belong to a head.
    scopes = {scope_of(stored) for name, stored in chosen.items() if not name.startswith("pooler/")}
    inside = {name for name in unknown if not _is_pretraining_head(name) and (not scopes or is_in_encoder(name, scopes))}
    passed_over = {stored for group in stored_names.values() for stored in group}.difference(chosen.values())
    return CanonicalWeights(encoder, head_arrays, tuple(sorted(inside)), tuple(sorted(unknown - inside | passed_over)))


def _head_part(stored: str, heads: Collection[str]) -> str | None:
    """Returns the canonical name of a weight of one of ``heads`` or of EasyTransfer's; None for other weights."""
    if _TASK_HEAD.fullmatch(stored):
        return stored
    *head, last = below_model(stored) or [""]
    return f"{'/'.join(head)}/{_HEAD_PARTS[last]}" if last in _HEAD_PARTS and "/".join(head) in heads else None


def _only_one(name: str, group: list[str], stored_names: dict[str, list[str]], weight_file: WeightFile) -> str:
    """Returns the encoder's stored name: of several (one may be a head's pooler), the one beside the embeddings.

    Raises:
        UserError: the file holds several encoders.
    """
    scopes = {scope_of(stored) for stored in stored_names.get("embeddings/word_embeddings", [])}
    own = [stored for stored in group if scope_of(stored) in scopes] if len(group) > 1 else group
    if len(own) != 1:
        raise UserError(
            f"Weight file {weight_file.path}: {group[0]!r} and {group[1]!r} are both the encoder's {name}. "
            "The file must hold one encoder; remove the other one's weights."
        )
    return own[0]


def _canonical_array(name: str, stored: str, array: np.ndarray, weight_file: WeightFile) -> np.ndarray:
    axes = 3 if name == "encoder/conv/conv/kernel" else 2 if name.endswith(_MATRICES) else 1
    if array.ndim != axes or array.dtype.kind != "f":
        raise UserError(
            f"Weight file {weight_file.path}: {stored!r} must have {axes} axes of floats, "
            f"found shape {list(array.shape)} of {array.dtype}."
        )
    # PyTorch's Linear stores [out, in], its Conv1d [out, in, width].
    is_transposed = name.endswith("/kernel") and stored.endswith(".weight")
    return np.ascontiguousarray(array.T if is_transposed else array, dtype=np.float32)
