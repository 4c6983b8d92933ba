"""One name for every encoder weight: Google's TensorFlow 1 name of the BERT part that it is, below ``bert/``.

``embeddings/projection`` is the dense layer from narrow embeddings to the layers' width, which BERT has not. ALBERT's group
of shared layers is a layer, and DeBERTa's parts have the names that transformers gives them.
"""

import re
from collections.abc import Collection

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
    r"((tf_)?(bert|roberta|albert|electra|ernie|ro_?former|deberta(_v2)?)(_model|_for_\w+)?(_\d+)?"
    r"|\w*pre_trained_model\w*|model|module)"
)
_WRAPPERS = ("model", "module")
"""Scopes that hold heads beside the encoder."""
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
"""A part of an ALBERT layer in transformers' names -> of a BERT layer."""
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
        For instance ``encoder/layer_0/output/dense/kernel``. A PyTorch Linear's weight gets the name of a kernel, but is
        its transpose: see ``canonical_weights``.
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
    """Returns the scopes of the model around what a stored name is the name of, outermost first."""
    parts = _parts(stored)
    return tuple(parts[: len(parts) - len(below_model(stored))])


def is_in_encoder(stored: str, scopes: Collection[tuple[str, ...]]) -> bool:
    """Tells whether a stored name is that of a part of the encoder, known or not, and no head beside it.

    Args:
        stored: the name.
        scopes: those in which the encoder's weights are stored.
    """
    scope = scope_of(stored)
    if scope not in scopes:
        return False
    is_encoders_own = bool(scope) and scope[-1] not in _WRAPPERS
    return is_encoders_own or below_model(stored)[:1] in _SECTIONS


def is_torch_name(stored: str) -> bool:
    """Tells whether a stored name is PyTorch's."""
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
    """Renames parts that other types of encoder call otherwise than BERT does."""
    layer = _ALBERT_LAYER.fullmatch(name)
    if layer:
        part = next((new + layer[3][len(old) :] for old, new in _ALBERT_PARTS if layer[3].startswith(old)), layer[3])
        return f"encoder/layer_{layer[1] or layer[2]}/{part}"
    return re.sub(r"^pooler/(?=\w+$)", "pooler/dense/", re.sub(_PROJECTIONS, "embeddings/projection/", name))
