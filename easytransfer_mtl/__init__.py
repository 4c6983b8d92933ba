"""EasyTransfer's multi-task baseline on TensorFlow 2: one Chinese BERT, several tasks.

The commands are functions of the same names: each takes its settings (``train(TrainSettings(...))``), train, evaluate,
predict and submit also the ``model_class`` of a model of one's own, and returns the command's exit status. All names are
imported on first use, so that importing the package costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_SETTINGS = {
    "easytransfer_mtl.config.settings": (
        "CheckSubmissionSettings", "ConvertSettings", "EvaluateSettings", "PredictSettings", "SubmitSettings",
        "TrainSettings",
    ),
    "easytransfer_mtl.config.ensemble_settings": ("SplitSettings",),
    "easytransfer_mtl.config.pretrain_settings": ("PretrainSettings",),
    "easytransfer_mtl.config.study_settings": ("CompareSettings", "PlotSettings"),
}  # fmt: skip
_LIGHT = {
    "Task": "easytransfer_mtl.tasks",
    "load_tasks": "easytransfer_mtl.tasks",
    "UserError": "easytransfer_mtl.errors",
    **{name: home for home, names in _SETTINGS.items() for name in names},
}
_NEED_TENSORFLOW = {
    "MultiTaskModel": "easytransfer_mtl.models.multitask_model",
    "Predictor": "easytransfer_mtl.evaluation.prediction",
}
_COMMANDS = ("convert", "pretrain", "train", "evaluate", "predict", "submit", "compare")
_LIGHT_COMMANDS = ("split", "check_submission", "plot")
__all__ = sorted([*_LIGHT, *_NEED_TENSORFLOW, *_COMMANDS, *_LIGHT_COMMANDS])


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEED_TENSORFLOW or name in _COMMANDS:
        environment = importlib.import_module("easytransfer_mtl.environment")
        environment.check_environment()
        environment.import_tensorflow(with_bert=True)
    if name in _COMMANDS or name in _LIGHT_COMMANDS:
        return importlib.import_module(f"easytransfer_mtl.commands.{name}").run
    return getattr(importlib.import_module(_LIGHT.get(name) or _NEED_TENSORFLOW[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
