"""What a run's model is made of, checked against its encoder, tasks and weighting before anything is built."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.kinds import check_frozen_layers, check_precision
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.memory import check_tokens
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.architecture_choice import check_gram_variables, choose_architecture, choose_part_dropout
from easytransfer_mtl.training.choices import Choices
from easytransfer_mtl.training.learning_rates import RateShares, choose_rate_shares
from easytransfer_mtl.training.loss_choice import warn_without_dropout
from easytransfer_mtl.training.memory_estimate import Estimate, check_memory, estimate
from easytransfer_mtl.training.sharing_choice import check_delivered, check_sharing
from easytransfer_mtl.weighting import TaskWeighting


@dataclass(frozen=True)
class ModelChoice:
    """What a model is made of, which parts it leaves out, the shares of the learning rate, and what it needs of memory."""

    architecture: Architecture
    part_dropout: dict[str, float]
    rates: RateShares
    memory: Estimate


def choose_model(settings: TrainSettings, train: list[TaskData], config: PretrainedConfig, choices: Choices) -> ModelChoice:
    """Works out a run's model.

    Args:
        settings: the configuration.
        train: the tasks' training rows.
        config: the encoder's.
        choices: how the run steps.

    Raises:
        UserError: settings do not fit each other, the encoder, the tasks, the run in the folder, or the machine.
    """
    tasks = [item.task for item in train]
    architecture = checked_architecture(settings, tasks, config, choices.weighting)
    _check_same_architecture(Path(settings.model_dir), architecture)
    length = max(item.task_input.sequence_length for item in train)
    check_tokens(sum(choices.sizes) if settings.step_mode == "joint" else max(choices.sizes), length)
    memory = estimate(settings, architecture, config, choices.weighting, tuple(tasks), choices.sizes, length)
    check_memory(memory, architecture)
    part_dropout = choose_part_dropout(settings, architecture, tasks)
    warn_without_dropout(settings, config, architecture, part_dropout, tasks)
    return ModelChoice(architecture, part_dropout, choose_rate_shares(settings, [task.name for task in tasks]), memory)


def check_encoder(settings: TrainSettings, config: PretrainedConfig) -> None:
    """Raises UserError if an encoder does not compute in a number format, or has other layers than are to be frozen."""
    for precision in (settings.precision, settings.predict_precision):
        check_precision(config, precision)
    check_frozen_layers(config, settings.num_freezed_layers)


def checked_architecture(
    settings: TrainSettings, tasks: list[Task], config: PretrainedConfig, weighting: TaskWeighting
) -> Architecture:
    """Works out what a run's model is made of; its data, its folder and the machine have no part in it.

    Args:
        settings: the configuration.
        tasks: in the order of the training list.
        config: the encoder's.
        weighting: the run's.

    Raises:
        UserError: settings do not fit each other, the encoder or the tasks.
    """
    architecture = choose_architecture(settings, tasks, config.num_hidden_layers)
    check_sharing(settings, config, weighting)
    check_delivered(architecture, tasks, config.num_hidden_layers)
    if weighting.needs_gram:
        kind = settings.gram_variables or weighting.gram_variables
        check_gram_variables(settings, kind, architecture, tasks, config)
    return architecture


def check_class(model_class: type[MultiTaskModel], architecture: Architecture, loss: LossOptions) -> None:
    """Checks what a subclass that computes logits in its own way goes with, and warns of what its own loss may pass over.

    Raises:
        UserError: a sharing structure would lose its penalty, or what tasks are to read, and their heads, would have no
            effect or not fit what the subclass reads.
    """
    _warn_of_own_loss(model_class, loss)
    if model_class.build_logits is MultiTaskModel.build_logits:
        return
    own = {"features": architecture.features, "heads": architecture.heads, "head_dropout": architecture.task_dropout}
    given = [f"--{name}={_as_text(values)}" for name, values in own.items() if values]
    if given:
        raise UserError(
            f"{model_class.__name__} overrides build_logits, so that it decides by itself what tasks read; leave out "
            f"{', '.join(given)}, or make these layers in its build_layers."
        )
    if architecture.sharing != "hard":
        raise UserError(
            f"{model_class.__name__} overrides build_logits, which sharing {architecture.sharing} needs for itself; "
            "override task_logits instead, or set --sharing=hard."
        )


def _warn_of_own_loss(model_class: type[MultiTaskModel], loss: LossOptions) -> None:
    given = [field.name for field in fields(loss) if any(getattr(loss, field.name).values())]
    if given and model_class.build_loss is not MultiTaskModel.build_loss:
        logging.warning(
            "%s overrides build_loss: %s will have an effect only if it calls super().build_loss, or reads options.loss.",
            model_class.__name__, ", ".join(given),
        )  # fmt: skip


def _as_text(values: dict[str, Any]) -> str:
    return ",".join(f"{name.lower()}={value}" for name, value in values.items())


def _check_same_architecture(model_dir: Path, architecture: Architecture) -> None:
    """Raises UserError if the folder's run is of a model that is made otherwise."""
    if has_checkpoints(model_dir) and (model_dir / "tasks.json").exists():
        changes = RunFolder(model_dir).read_architecture().differences(architecture)
        if changes:
            raise UserError(
                f"{model_dir} is a run of another architecture ({'; '.join(changes)}). Use another --model_dir, or the "
                "settings that it was started with."
            )
