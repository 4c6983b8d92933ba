"""The settings of export."""

import glob
import os
from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.predict_settings import MODEL_CLASS_HELP, TASKS_HELP, TRUST_HELP
from easytransfer_mtl.config.sections import EXPORT
from easytransfer_mtl.errors import UserError, shown

SAVEDMODEL, ONNX = EXPORT_FORMATS = ("savedmodel", "onnx")


@dataclass(frozen=True, kw_only=True)
class ExportSettings(CommonSettings):
    """Settings of export: one trained model as a SavedModel or an ONNX file."""

    model_class: str | None = option(None, MODEL_CLASS_HELP, own_code=True)
    trust_own_code: bool = option(None, TRUST_HELP, False)
    tasks_file: str | None = option("", TASKS_HELP)
    checkpoint_path: str = option(
        EXPORT,
        "the model: best/ or the folder of a run, or a checkpoint prefix (model_dir/model.ckpt-1234; with @ema behind it "
        "its moving averages), also a TF1 training checkpoint of EasyTransfer's; may come first, without the flag's name",
        required=True,
    )
    export_dir_base: str = option(
        EXPORT, "new folder for the export, which gets no subfolder by time; may come second", required=True
    )
    export_format: str = option(
        None,
        "savedmodel: for TensorFlow alone and TensorFlow Serving; onnx: for ONNX Runtime, needs the extra onnx",
        SAVEDMODEL,
        choices=EXPORT_FORMATS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = str(self.checkpoint_path)
        if ("," in given or glob.has_magic(given)) and not any(map(os.path.exists, (given, f"{given}.index"))):
            raise UserError(
                f"--checkpoint_path {shown(given)} is not one model. An average is not exported: it would be a graph as "
                "large and as slow as all its models together. Export them one by one, or train one model on the average's "
                "probabilities (train --teacher) and export that."
            )
