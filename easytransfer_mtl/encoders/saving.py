"""An encoder as the folder that Hugging Face's TensorFlow class of its type saves and loads."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.encoders.kinds import POSITIONS, kind_of, transformers_class

WEIGHTS_FILE = "model.safetensors"


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Writes config.json and model.safetensors.

    Types without a pooler get the encoder's among the weights, as ``pooler/dense``: ``load_encoder`` takes it from there,
    and transformers says that it is left over.

    Args:
        encoder: with the weights to save.
        folder: made if it is not there.
    """
    kind, values = kind_of(encoder.config), encoder.canonical_variables
    twin = transformers_class(kind.tf_class)(encoder.config)
    twin(tf.zeros((1, 2), tf.int32))
    for variable in twin.weights:
        name = str(canonical_name(variable.name))
        # RoFormer's table of positions is computed there as here.
        if name != POSITIONS:
            variable.assign(values[name])
    twin.save_pretrained(folder, safe_serialization=True)
    if not kind.has_pooler:
        pooler = {f"{name}:0": np.ascontiguousarray(values[name].numpy()) for name in POOLER}
        save_file({**load_file(folder / WEIGHTS_FILE), **pooler}, folder / WEIGHTS_FILE, metadata={"format": "tf"})
