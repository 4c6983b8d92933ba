"""Canonical names of encoder weights: Google's TensorFlow 1 names of the corresponding BERT parts, below ``bert/``.

``embeddings/projection`` is the dense layer from narrow embeddings to the layers' width, which BERT lacks. ALBERT's group of
shared layers counts as one layer. DeBERTa's parts have the names that transformers gives them.
"""

import re
from collections.abc import Collection

import numpy as np

_DENSE = r"(kernel|bias)"
_NORM = r"LayerNorm/(gamma|beta)"
_BERT_ATTENTION = rf"self/(query|key|value)/{_DENSE}|output/(dense/{_DENSE}|{_NORM})"
_DEBERTA_ATTENTION = rf"self/((in|pos|pos_q|query|key|value)_proj/{_DENSE}|[qv]_bias)"
_CANONICAL = re.compile(
    rf"embeddings/((word|position|token_type|task_type)_embeddings|{_NORM}|projection/{_DENSE})"
    rf"|encoder/layer_(0|[1-9][0-9]*)/(attention/({_BERT_ATTENTION}|{_DEBERTA_ATTENTION})"
    rf"|intermediate/dense/{_DENSE}|output/(dense/{_DENSE}|{_NORM}))"
    rf"|encoder/(embed_positions|rel_embeddings|{_NORM}|conv/(conv/{_DENSE}|{_NORM}))"
    rf"|pooler/dense/{_DENSE}"
)
_MODEL_SCOPE = re.compile(
    r"((tf_?)?(bert|(xlm_)?roberta|albert|electra|ernie|ro_?former|deberta(_v2)?)(_model|_for_\w+)?(_\d+)?"
    r"|\w*pre_trained_model\w*|model|module)"
)
_WRAPPERS = ("model", "module")
"""Scopes that hold heads as well as the encoder."""
_SECTIONS = (["embeddings"], ["encoder"], ["pooler"], ["embeddings_project"])
_PROJECTIONS = r"^(encoder/embedding_hidden_mapping_in|embeddings_project|embeddings/embed_proj)/"
_ALBERT_LAYER = re.compile(
    r"encoder/(?:albert_layer_groups[/_.]+(\d+)/albert_layers[/_.]+0|transformer/group_(\d+)/inner_group_0)/(.+)"
)
ALBERT_PARTS = (
    ("attention/query/", "attention/self/query/"),
    ("attention/key/", "attention/self/key/"),
    ("attention/value/", "attention/self/value/"),
    ("attention/dense/", "attention/output/dense/"),
    ("attention/LayerNorm/", "attention/output/LayerNorm/"),
    ("ffn/", "intermediate/dense/"),
    ("ffn_output/", "output/dense/"),
    ("full_layer_layer_norm/", "output/LayerNorm/"),
)
"""Name of a part of an ALBERT layer in transformers -> name of that part in a BERT layer."""
_ALBERT_PARTS = (
    *ALBERT_PARTS,
    # In Google's names.
    ("attention_1/", "attention/"),
    ("LayerNorm/", "attention/output/LayerNorm/"),
    ("ffn_1/intermediate/dense/", "intermediate/dense/"),
    ("ffn_1/intermediate/output/dense/", "output/dense/"),
    ("LayerNorm_1/", "output/LayerNorm/"),
)


def canonical_name(stored: str) -> str | None:
    """Returns the canonical name of an encoder weight, or None if ``stored`` is not one.

    Args:
        stored: a name from PyTorch (``bert.encoder.layer.0.output.dense.weight``), from Hugging Face's TensorFlow models
            (``tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0``) or from a TensorFlow 1 checkpoint
            (``bert/encoder/layer_0/output/dense/kernel``), with or without the scopes of the model around the encoder.

    Returns:
        For instance ``encoder/layer_0/output/dense/kernel``. The weight of a PyTorch Linear gets the name of a kernel, but
        is its transpose: see ``canonical_weights``.
    """
    name = _as_bert("/".join(below_model(stored)))
    if is_torch_name(stored):
        name = re.sub(r"^encoder/layer/(\d+)/", r"encoder/layer_\1/", name)
        name = re.sub(r"LayerNorm/weight$", "LayerNorm/gamma", name)
        name = re.sub(r"LayerNorm/bias$", "LayerNorm/beta", name)
        name = re.sub(r"^(embeddings/\w+_embeddings|encoder/(embed_positions|rel_embeddings))/weight$", r"\1", name)
        name = re.sub(r"/weight$", "/kernel", name)
    else:
        name = re.sub(r"^encoder/layer_\._(\d+)/", r"encoder/layer_\1/", name)
        name = re.sub(r"^(embeddings/\w+_embeddings)/(weight|embeddings)$", r"\1", name)
        name = re.sub(r"^(encoder/(embed_positions|rel_embeddings))(/embeddings|\.weight)$", r"\1", name)
    return name if _CANONICAL.fullmatch(name) else None


def scope_of(stored: str) -> tuple[str, ...]:
    """Returns the scopes of the model around the encoder in a stored name, outermost first."""
    parts = _parts(stored)
    return tuple(parts[: len(parts) - len(below_model(stored))])


def is_in_encoder(stored: str, scopes: Collection[tuple[str, ...]]) -> bool:
    """Returns whether a stored name is that of an encoder part, known or not, and not of a head beside the encoder.

    Args:
        stored: the name.
        scopes: the scopes in which the encoder's weights are stored.
    """
    scope = scope_of(stored)
    if scope not in scopes:
        return False
    is_encoders_own = bool(scope) and scope[-1] not in _WRAPPERS
    return is_encoders_own or below_model(stored)[:1] in _SECTIONS


def is_torch_name(stored: str) -> bool:
    """Returns whether a stored name is PyTorch's."""
    return "/" not in stored


def below_model(stored: str) -> list[str]:
    """Returns the parts of a stored name without the scopes of the model around the encoder."""
    parts = _parts(stored)
    while parts and _MODEL_SCOPE.fullmatch(parts[0]):
        parts = parts[1:]
    return parts


def _parts(stored: str) -> list[str]:
    name = stored.removesuffix(":0")
    return name.split(".") if is_torch_name(name) else name.split("/")


def _as_bert(name: str) -> str:
    """Renames parts that other encoder types name differently than BERT."""
    layer = _ALBERT_LAYER.fullmatch(name)
    if layer:
        part = next((new + layer[3][len(old) :] for old, new in _ALBERT_PARTS if layer[3].startswith(old)), layer[3])
        return f"encoder/layer_{layer[1] or layer[2]}/{part}"
    return re.sub(r"^pooler/(?=\w+$)", "pooler/dense/", re.sub(_PROJECTIONS, "embeddings/projection/", name))


_TORCH_PROJECTIONS = {
    "albert": "encoder/embedding_hidden_mapping_in/",
    "electra": "embeddings_project/",
    "roformer": "embeddings_project/",
}
"""``model_type`` -> name of the dense layer from narrow embeddings to the layers' width."""


def torch_name(canonical: str, model_type: str) -> str:
    """Returns the name in the state dict of transformers' class, for instance ``encoder.layer.0.output.dense.weight``.

    The inverse of ``canonical_name`` for PyTorch's names.

    Args:
        canonical: see ``canonical_names``.
        model_type: one of ``KINDS``.
    """
    name = canonical
    if model_type in _TORCH_PROJECTIONS:
        name = name.replace("embeddings/projection/", _TORCH_PROJECTIONS[model_type])
    if model_type == "albert":
        name = _as_albert(name)
    name = re.sub(r"^encoder/layer_(\d+)/", r"encoder/layer/\1/", name)
    name = re.sub(r"/(kernel|gamma)$", "/weight", re.sub(r"/beta$", "/bias", name))
    return re.sub(r"(_embeddings|/embed_positions)$", r"\1/weight", name).replace("/", ".")


def torch_array(canonical: str, array: np.ndarray) -> np.ndarray:
    """Returns a weight as PyTorch stores it: a kernel [in, out] as [out, in], a convolution's as [out, in, width]."""
    return np.ascontiguousarray(array.T if canonical.endswith("/kernel") else array)


def _as_albert(name: str) -> str:
    name = name.replace("pooler/dense/", "pooler/")
    layer = re.fullmatch(r"encoder/layer_(\d+)/(.+)", name)
    if not layer:
        return name
    new, old = next((new, old) for new, old in ALBERT_PARTS if layer[2].startswith(old))
    return f"encoder/albert_layer_groups/{layer[1]}/albert_layers/0/{new}{layer[2][len(old) :]}"
