"""The settings of every command: EasyTransfer's keys under their original names and sections, and additional keys."""

from easytransfer_mtl.config.base import COMMANDS_SETTINGS
from easytransfer_mtl.config.convert_settings import ConvertSettings, SplitSettings
from easytransfer_mtl.config.data_settings import CheckDataSettings, EdaSettings
from easytransfer_mtl.config.docker_settings import DockerSettings
from easytransfer_mtl.config.doctor_settings import DoctorSettings
from easytransfer_mtl.config.export_settings import ExportSettings
from easytransfer_mtl.config.predict_settings import (
    CheckSubmissionSettings,
    EvaluateSettings,
    PredictSettings,
    ServeSettings,
    SubmitSettings,
)
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.config.train_settings import TrainSettings

COMMANDS_SETTINGS += [
    CheckDataSettings, EdaSettings, SplitSettings, ConvertSettings, PretrainSettings, TrainSettings, EvaluateSettings,
    PredictSettings, SubmitSettings, CheckSubmissionSettings, PruneVocabularySettings, DockerSettings, DoctorSettings,
    ServeSettings, ExportSettings,
]  # fmt: skip
