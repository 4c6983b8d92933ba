"""Training checkpoints of EasyTransfer (TensorFlow 1: encoder and task heads), loaded for evaluation and prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.loading import load_config, load_encoder
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import variable_names
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables, own_variables
from easytransfer_mtl.runs.folder import TRAIN_CONFIG, RunFolder, TaskInput
from easytransfer_mtl.tasks import Task, require_labels

OBJECT_FORM = ("_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/VARIABLE_VALUE")
USUAL_LENGTH, SHORTEST = 128, 5
"""Sequence length in EasyTransfer's configuration files, and the shortest one that holds a pair."""


def is_easytransfer_checkpoint(prefix: Path) -> bool:
    """Returns whether a checkpoint has variable names of TensorFlow 1; False if it cannot be read."""
    try:
        return not any(name.endswith(OBJECT_FORM) for name in variable_names(prefix))
    except UserError:
        return False


@dataclass(frozen=True)
class EasyTransferFolder(RunFolder):
    """The folder of an EasyTransfer checkpoint, with config.json and vocab.txt. The checkpoint does not name its tasks.

    Attributes:
        prefix: the checkpoint prefix.
        tasks: the tasks whose heads the checkpoint holds.
    """

    prefix: Path
    tasks: tuple[Task, ...]

    @property
    def encoder_files(self) -> EncoderFiles:
        """The checkpoint, with the folder's config and vocabulary."""
        return EncoderFiles(self.prefix, self.path, tanh_gelu=True)

    def read_tasks(self) -> tuple[tuple[Task, ...], dict[str, TaskInput]]:
        """Returns the tasks and their input settings: texts as they are (not normalized), cut at EasyTransfer's length."""
        return require_labels(self.tasks), {task.name: TaskInput(self._sequence_length(), "none") for task in self.tasks}

    def read_architecture(self) -> Architecture:
        """Returns the baseline architecture."""
        return BASELINE

    def own_code(self) -> dict[str, dict[str, str]]:
        """Returns an empty dictionary: the checkpoint names no user-defined classes."""
        return {}

    def check_class(self, model_class: type) -> None:
        """Accepts any class; ``load`` checks that the checkpoint has its weights."""

    def load(self, model_class: type[MultiTaskModel] = MultiTaskModel) -> MultiTaskModel:
        """Builds the model with the checkpoint's weights.

        Raises:
            UserError: the checkpoint is damaged, lacks a head, or holds a head of another shape.
        """
        loaded = load_encoder(self.encoder_files, DropoutClock(0))
        model = model_class(loaded.encoder, self.tasks, architecture=BASELINE)
        build_variables(model)
        variables = own_variables(model)
        missing = sorted(variables.keys() - loaded.heads.keys())
        if missing:
            raise UserError(
                f"{self.prefix} does not hold {', '.join(missing)} of {model_class.__name__}: its own are "
                f"{', '.join(sorted(loaded.heads)) or 'those of an encoder alone'}. Name the tasks that it was trained on "
                "with --tasks_file; an encoder without task heads must be trained first (--pretrain_model_name_or_path)."
            )
        for name, variable in variables.items():
            if loaded.heads[name].shape != tuple(variable.shape):
                raise UserError(
                    f"{self.prefix}: {name} has the shape {list(loaded.heads[name].shape)}, the tasks need "
                    f"{list(variable.shape)}. Give the tasks and labels that it was trained on with --tasks_file."
                )
            variable.assign(loaded.heads[name])
        return model

    def _sequence_length(self) -> int:
        """Returns the sequence length of the training configuration, or ``USUAL_LENGTH``; at most the encoder's."""
        longest = load_config(self.encoder_files).max_position_embeddings
        path = self.path / TRAIN_CONFIG
        found = _part(read_json(path, TRAIN_CONFIG) if path.exists() else {}, "preprocess_config", "sequence_length")
        length = found if type(found) is int and found >= SHORTEST else USUAL_LENGTH
        return min(length, longest)


def _part(value: Any, *names: str) -> Any:
    """Returns the value at a path of names in nested JSON objects; None if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
