"""EasyTransfer's multi-task baseline on TensorFlow 2: one Chinese BERT, several tasks.

The names below are imported on first use, so that importing the package costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Task": "easytransfer_mtl.tasks",
    "load_tasks": "easytransfer_mtl.tasks",
    "TrainSettings": "easytransfer_mtl.config.settings",
    "MultiTaskModel": "easytransfer_mtl.models.multitask_model",
    "Predictor": "easytransfer_mtl.evaluation.prediction",
    "train": "easytransfer_mtl.commands.train",
}
_NEEDS_NO_TENSORFLOW = ("easytransfer_mtl.tasks", "easytransfer_mtl.config.settings")
__all__ = ["MultiTaskModel", "Predictor", "Task", "TrainSettings", "load_tasks", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home not in _NEEDS_NO_TENSORFLOW:
        importlib.import_module("easytransfer_mtl.environment").check_environment()
    module = importlib.import_module(home)
    return module.run if name == "train" else getattr(module, name)
