"""One name for every encoder weight: Google's TensorFlow 1 name below ``bert/``."""

import re
from dataclasses import dataclass

import numpy as np

from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import is_optimizer_state
from easytransfer_mtl.errors import UserError

_DENSE = r"(kernel|bias)"
_NORM = r"LayerNorm/(gamma|beta)"
_CANONICAL = re.compile(
    rf"embeddings/((word|position|token_type)_embeddings|{_NORM})"
    rf"|encoder/layer_(0|[1-9][0-9]*)/(attention/self/(query|key|value)/{_DENSE}|attention/output/(dense/{_DENSE}|{_NORM})"
    rf"|intermediate/dense/{_DENSE}|output/(dense/{_DENSE}|{_NORM}))"
    rf"|pooler/dense/{_DENSE}"
)
_MODEL_SCOPE = re.compile(r"((tf_)?(bert|roberta)(_model|_for_\w+)?(_\d+)?|\w*pre_trained_model\w*|model|module)")
_PRETRAINING_HEADS = ("cls", "mlm___cls", "nsp___cls", "predictions", "seq_relationship")
_BUFFERS = ("embeddings/position_ids", "embeddings/token_type_ids")
_TASK_HEAD = re.compile(r"\w+_dense/(kernel|bias)")
_TORCH_ENDINGS = {"LayerNorm/weight": "LayerNorm/gamma", "LayerNorm/bias": "LayerNorm/beta"}


@dataclass(frozen=True)
class CanonicalWeights:
    """Weights under canonical names.

    Attributes:
        encoder: float32 arrays by canonical name; kernels are [in, out], embeddings [rows, hidden].
        heads: arrays of task heads by their own names, for instance ``tnews_dense/kernel`` [hidden, labels].
        left_over: stored names that are neither these nor known to be irrelevant, sorted.
    """

    encoder: dict[str, np.ndarray]
    heads: dict[str, np.ndarray]
    left_over: tuple[str, ...]


def canonical_name(stored: str) -> str | None:
    """Returns the canonical name of an encoder weight, or None if ``stored`` is not one.

    Args:
        stored: a name from PyTorch (``bert.encoder.layer.0.output.dense.weight``), from Hugging Face's TensorFlow models
            (``tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0``) or from a TensorFlow 1 checkpoint
            (``bert/encoder/layer_0/output/dense/kernel``), with or without the scopes of the model around the encoder.

    Returns:
        For instance ``encoder/layer_0/output/dense/kernel``. A PyTorch Linear's weight gets the name of a kernel, but is
        its transpose: see ``canonical_weights``.
    """
    name = "/".join(_below_model(stored))
    if _is_torch_name(stored):
        name = re.sub(r"^encoder/layer/(\d+)/", r"encoder/layer_\1/", name)
        for ending, canonical_ending in _TORCH_ENDINGS.items():
            name = name.replace(ending, canonical_ending)
        name = re.sub(r"^(embeddings/\w+_embeddings)/weight$", r"\1", name)
        name = re.sub(r"/weight$", "/kernel", name)
    else:
        name = re.sub(r"^encoder/layer_\._(\d+)/", r"encoder/layer_\1/", name)
        name = re.sub(r"^(embeddings/\w+_embeddings)/(weight|embeddings)$", r"\1", name)
    return name if _CANONICAL.fullmatch(name) else None


def is_known_irrelevant(name: str) -> bool:
    """Tells whether a stored name is none of the encoder's and safe to drop.

    These are the pretraining heads (masked words, next sentence), buffers of position and type ids, and optimizer state.
    """
    parts = _below_model(name)
    is_pretraining_head = bool(parts) and parts[0] in _PRETRAINING_HEADS
    return is_pretraining_head or "/".join(parts) in _BUFFERS or is_optimizer_state(name)


def canonical_weights(weight_file: WeightFile) -> CanonicalWeights:
    """Brings weights of any layout to canonical names, shapes and float32.

    Raises:
        UserError: two stored weights have the same canonical name, or a weight is not a matrix or vector of floats.
    """
    stored_names: dict[str, str] = {}
    encoder, heads, left_over = {}, {}, []
    for stored, array in weight_file.arrays.items():
        name = canonical_name(stored)
        if name is None:
            if _TASK_HEAD.fullmatch(stored):
                heads[stored] = array
            elif not is_known_irrelevant(stored):
                left_over.append(stored)
            continue
        if name in stored_names:
            raise UserError(
                f"Weight file {weight_file.path}: {stored_names[name]!r} and {stored!r} are both the encoder's {name}. "
                "The file must hold one encoder; remove the other one's weights."
            )
        stored_names[name] = stored
        encoder[name] = _canonical_array(name, stored, array, weight_file)
    return CanonicalWeights(encoder, heads, tuple(sorted(left_over)))


def _canonical_array(name: str, stored: str, array: np.ndarray, weight_file: WeightFile) -> np.ndarray:
    axes = 2 if name.endswith(("/kernel", "_embeddings")) else 1
    if array.ndim != axes or array.dtype.kind != "f":
        raise UserError(
            f"Weight file {weight_file.path}: {stored!r} must have {axes} axes of floats, "
            f"found shape {list(array.shape)} of {array.dtype}."
        )
    # PyTorch's Linear keeps [out, in].
    is_transposed = name.endswith("/kernel") and stored.endswith(".weight")
    return np.ascontiguousarray(array.T if is_transposed else array, dtype=np.float32)


def _is_torch_name(stored: str) -> bool:
    return "/" not in stored


def _below_model(stored: str) -> list[str]:
    """The parts of a name without the scopes of the model around the encoder."""
    name = stored.removesuffix(":0")
    parts = name.split(".") if _is_torch_name(name) else name.split("/")
    while parts and _MODEL_SCOPE.fullmatch(parts[0]):
        parts = parts[1:]
    return parts
