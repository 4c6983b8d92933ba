"""EasyTransfer's multi-task baseline on TensorFlow 2: one Chinese BERT, several tasks.

The commands are functions with the same names. Each takes its settings (``train(TrainSettings(...))``) and returns the
command's exit status; train, evaluate, predict, submit, export and serve also take the ``model_class`` of a user-defined
model. All names are imported on first use, so that importing the package is cheap.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_SETTINGS = {
    "easytransfer_mtl.config.convert_settings": ("ConvertSettings", "SplitSettings"),
    "easytransfer_mtl.config.data_settings": ("CheckDataSettings", "EdaSettings"),
    "easytransfer_mtl.config.docker_settings": ("DockerSettings",),
    "easytransfer_mtl.config.export_settings": ("ExportSettings",),
    "easytransfer_mtl.config.doctor_settings": ("DoctorSettings",),
    "easytransfer_mtl.config.predict_settings": (
        "CheckSubmissionSettings", "EvaluateSettings", "PredictSettings", "ServeSettings", "SubmitSettings",
    ),
    "easytransfer_mtl.config.pretrain_settings": ("PretrainSettings",),
    "easytransfer_mtl.config.prune_settings": ("PruneVocabularySettings",),
    "easytransfer_mtl.config.study_settings": ("CompareSettings", "PlotSettings", "ReportSettings"),
    "easytransfer_mtl.config.train_settings": ("TrainSettings",),
}  # fmt: skip
_LIGHT = {
    "Task": "easytransfer_mtl.tasks",
    "load_tasks": "easytransfer_mtl.tasks",
    "save_table": "easytransfer_mtl.data.frames",
    "UserError": "easytransfer_mtl.errors",
    "option": "easytransfer_mtl.config.options",
    **{name: home for home, names in _SETTINGS.items() for name in names},
}
_NEED_TENSORFLOW = {
    "MultiTaskModel": "easytransfer_mtl.models.multitask_model",
    "load": "easytransfer_mtl.evaluation.loaded_model",
    "LoadedModel": "easytransfer_mtl.evaluation.loaded_model",
    "Result": "easytransfer_mtl.evaluation.loaded_model",
    "TrainStep": "easytransfer_mtl.training.step",
    "TaskWeighting": "easytransfer_mtl.weighting",
    "ElementWeighting": "easytransfer_mtl.weighting",
    "Combination": "easytransfer_mtl.weighting",
    "Signals": "easytransfer_mtl.weighting",
    "Head": "easytransfer_mtl.models.heads",
    "HeadFacts": "easytransfer_mtl.models.heads",
    "FeaturePart": "easytransfer_mtl.models.features",
    "FeatureFacts": "easytransfer_mtl.models.features",
    "Sharing": "easytransfer_mtl.models.sharing",
    "TaskSampling": "easytransfer_mtl.data.task_order",
}
_COMMANDS = (
    "convert", "pretrain", "train", "evaluate", "predict", "submit", "export", "prune_vocabulary", "compare", "docker",
)  # fmt: skip
_LIGHT_COMMANDS = ("check_data", "eda", "split", "check_submission", "plot", "report", "doctor", "serve")
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
