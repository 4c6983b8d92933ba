"""Taking over what pre-training trained beside an encoder from the encoder's checkpoint."""

import logging
import re

import numpy as np
import tensorflow as tf

from easytransfer_mtl.encoders.weight_files import WeightFile

_STORED = re.compile(r"(?:.+[./])?((?:discriminator_predictions|generator_predictions|generator)[./].+?)(?::0)?")
_GOOGLES_PREDICTION, _PREDICTION = "discriminator_predictions/dense_1/", "discriminator_predictions/dense_prediction/"


def take_parts(parts: dict[str, tf.Variable], weight_file: WeightFile, what: str) -> None:
    """Gives variables the arrays of their names if the file holds all of them in their shapes; else leaves them.

    Args:
        parts: variables by name, with or without ``:0``, see ``stored_arrays``.
        weight_file: of any layout.
        what: what they are, for the log.
    """
    arrays = stored_arrays(weight_file)
    wanted = {name.removesuffix(":0"): variable for name, variable in parts.items()}
    if any(name not in arrays or arrays[name].shape != tuple(variable.shape) for name, variable in wanted.items()):
        reason = "" if wanted.keys().isdisjoint(arrays) else f"; that in {weight_file.path} is not whole or of another size"
        logging.info("%s: random start%s", what, reason)
        return
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    logging.info("%s: taken from %s", what, weight_file.path)


def stored_arrays(weight_file: WeightFile) -> dict[str, np.ndarray]:
    """Returns the arrays of ELECTRA's heads and generator by name, for instance discriminator_predictions/dense/kernel.

    The discriminator's head is found in every layout: transformers' for PyTorch and TensorFlow, and Google's. The generator
    is found in Google's and as pre-training here leaves it, which is the same.
    """
    found = {}
    for stored, array in weight_file.arrays.items():
        match = _STORED.fullmatch(stored)
        if match is None:
            continue
        name = match[1].replace(_GOOGLES_PREDICTION, _PREDICTION)
        if "/" not in stored:
            name = name.replace(".", "/")
            if name.endswith("/weight") and array.ndim == 2:  # PyTorch's Linear keeps [out, in]
                name, array = f"{name.removesuffix('/weight')}/kernel", array.T
        found[name] = array
    return found
