"""An encoder weight's name and shape in transformers' PyTorch model of its type, from its canonical name."""

import re

import numpy as np

from easytransfer_mtl.encoders.canonical_names import ALBERT_PARTS

_PROJECTIONS = {
    "albert": "encoder/embedding_hidden_mapping_in/",
    "electra": "embeddings_project/",
    "roformer": "embeddings_project/",
}
"""The dense layer from narrow embeddings to the layers' width, by ``model_type``."""


def torch_name(canonical: str, model_type: str) -> str:
    """Returns the name in the state of transformers' class, for instance ``encoder.layer.0.output.dense.weight``.

    The inverse of ``canonical_name`` for names of PyTorch.

    Args:
        canonical: see ``canonical_names``.
        model_type: one of ``KINDS``.
    """
    name = canonical
    if model_type in _PROJECTIONS:
        name = name.replace("embeddings/projection/", _PROJECTIONS[model_type])
    if model_type == "albert":
        name = _as_albert(name)
    name = re.sub(r"^encoder/layer_(\d+)/", r"encoder/layer/\1/", name)
    name = re.sub(r"/(kernel|gamma)$", "/weight", re.sub(r"/beta$", "/bias", name))
    return re.sub(r"(_embeddings|/embed_positions)$", r"\1/weight", name).replace("/", ".")


def torch_array(canonical: str, array: np.ndarray) -> np.ndarray:
    """Returns a weight as PyTorch keeps it: a kernel [in, out] as [out, in], a convolution's as [out, in, width]."""
    return np.ascontiguousarray(array.T if canonical.endswith("/kernel") else array)


def _as_albert(name: str) -> str:
    name = name.replace("pooler/dense/", "pooler/")
    layer = re.fullmatch(r"encoder/layer_(\d+)/(.+)", name)
    if not layer:
        return name
    new, old = next((new, old) for new, old in ALBERT_PARTS if layer[2].startswith(old))
    return f"encoder/albert_layer_groups/{layer[1]}/albert_layers/0/{new}{layer[2][len(old) :]}"
