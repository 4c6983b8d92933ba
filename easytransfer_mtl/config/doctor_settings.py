"""The settings of doctor."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import TRAIN


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(CommonSettings):
    """Settings of doctor: what this machine can do, and what is wrong with it."""

    model_dir: str = option(TRAIN, "folder that a run would be written to; the free space of its disk is checked", ".")
    measure: bool = option(None, "import TensorFlow, and train and predict with a small model on every device", True)
    output: str | None = option(None, "JSON file for the report")
