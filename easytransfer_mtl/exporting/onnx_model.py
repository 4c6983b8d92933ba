"""A trained model as an ONNX file, by tf2onnx."""

import importlib.util
import logging
from pathlib import Path

from easytransfer_mtl.encoders.fused.graphs import compiling
from easytransfer_mtl.errors import UserError, clipped
from easytransfer_mtl.exporting.graph import ROWS, all_tasks_function
from easytransfer_mtl.models.multitask_model import MultiTaskModel

ONNX_FILE = "model.onnx"
OPSET = 18
"""The newest operator set that tf2onnx 1.17 writes."""
MOST_BYTES = (1 << 31) - (1 << 24)
"""An ONNX file is one protobuf message of at most 2 GB; the rest is for the graph."""


def check_onnx() -> None:
    """Raises UserError if tf2onnx is not installed."""
    if importlib.util.find_spec("tf2onnx") is None:
        raise UserError(
            "--export_format=onnx needs tf2onnx, which is not installed; pip install 'easytransfer_mtl[onnx]' (from the "
            "repository: pip install '.[onnx]'). --export_format=savedmodel needs nothing more."
        )


def write_onnx(model: MultiTaskModel, folder: Path) -> None:
    """Writes ``model.onnx``: float32, one graph with every task's outputs, ``tnews_probabilities`` and so on.

    Raises:
        UserError: the model is too large for one file, or has an operation that ONNX lacks.
    """
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in model.variables)
    if size > MOST_BYTES:
        raise UserError(
            f"The model's weights have {size:,} bytes, and an ONNX file holds at most 2 GB; take --export_format=savedmodel."
        )
    for name in ("tf2onnx", "tf2onnx.tfonnx", "tf2onnx.optimizer", "tf2onnx.tf_utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs what it optimizes, and errors before it raises them
    import onnx
    import tf2onnx

    try:
        with compiling(False):
            proto, _ = tf2onnx.convert.from_function(all_tasks_function(model), input_signature=ROWS, opset=OPSET)
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, NotImplementedError, ValueError) as error:
        reason = clipped(str(error).partition("\n")[0])
        raise UserError(f"tf2onnx cannot write this model as ONNX ({reason}); take --export_format=savedmodel.") from None
    (folder / ONNX_FILE).write_bytes(proto.SerializeToString())
