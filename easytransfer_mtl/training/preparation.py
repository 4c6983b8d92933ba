"""Everything that can be wrong with a run's settings and data, found before the first expensive step."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.pipeline import TrainingBatches
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.kinds import check_frozen_layers, check_precision, kind_of
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.tasks import CONTEST_TASKS, Task, load_tasks
from easytransfer_mtl.training.architecture_choice import choose_architecture
from easytransfer_mtl.training.batches import training_batches
from easytransfer_mtl.training.checkpoints import INTERRUPTED, checkpoint_steps
from easytransfer_mtl.training.choices import choose
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.step_plan import StepPlan
from easytransfer_mtl.training.task_data import TaskData, check_dev_data, check_training_data, read_task_data
from easytransfer_mtl.weighting import TaskWeighting

UNCHANGEABLE = ("optimizer", "loss_weighting", "step_mode")


@dataclass(frozen=True)
class Prepared:
    """What a run needs besides its model: checked files, rows, plan, weighting, loss, architecture and batches."""

    files: EncoderFiles
    train: list[TaskData]
    dev: list[TaskData]
    plan: StepPlan
    weighting: TaskWeighting
    loss: LossOptions
    architecture: Architecture
    batches: TrainingBatches

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks in the order of the training list."""
        return tuple(item.task for item in self.train)


def prepare(settings: TrainSettings, num_replicas: int = 1) -> Prepared:
    """Finds the encoder's files, reads and checks the data, plans the steps, makes the weighting.

    Args:
        settings: the configuration.
        num_replicas: devices that each compute a batch of ``train_batch_size`` rows a step.

    Raises:
        UserError: something does not fit.
    """
    if settings.outputs:
        raise UserError("--outputs has no meaning in training; the run's folder is --model_dir.")
    _check_unchanged(settings)
    if (settings.distribution_strategy or "None") != "None":
        if settings.on_nonfinite == "skip" or settings.log_gradients_every:
            raise UserError(
                "on_nonfinite skip and log_gradients_every work without distribution_strategy only; leave them out with "
                "several GPUs or workers."
            )
    _make_deterministic()
    files = find_encoder(settings.pretrain_model_name_or_path, settings.modelZooBasePath, not settings.random_init)
    config = load_config(files, settings.gelu)
    for precision in (settings.precision, settings.predict_precision):
        check_precision(config, precision)
    check_frozen_layers(config, settings.num_freezed_layers)
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    train, dev = _read_data(settings, files, config, tasks)
    choices = choose(settings, [item.task for item in train], [len(item.rows) for item in train], num_replicas)
    _check_gram_variables(settings, choices.weighting, config)
    batches = training_batches(settings, train, choices.sizes, choices.order, choices.plan.train_steps)
    architecture = choose_architecture(settings)
    return Prepared(files, train, dev, choices.plan, choices.weighting, choices.loss, architecture, batches)


def _check_gram_variables(settings: TrainSettings, weighting: TaskWeighting, config: PretrainedConfig) -> None:
    kind = settings.gram_variables or weighting.gram_variables
    if not weighting.needs_gram or kind != "last_layer":
        return
    if kind_of(config).shares_layers:
        raise UserError(
            f"loss_weighting {weighting.name} reads the gradients of gram_variables {kind}, but all layers of model_type "
            f"{config.model_type} are one; set --gram_variables=pooler, or all."
        )
    if settings.num_freezed_layers == config.num_hidden_layers:
        raise UserError(
            f"loss_weighting {weighting.name} reads the gradients of gram_variables {kind}, which num_freezed_layers "
            "freezes; set --gram_variables=pooler, or freeze fewer layers."
        )


def _check_unchanged(settings: TrainSettings) -> None:
    """Raises UserError if the folder's run has other state, which would be taken for this one's, or counts other steps."""
    folder = RunFolder(Path(settings.model_dir))
    written = folder.written_settings()
    for name in UNCHANGEABLE:
        before, now = written.get(name, getattr(settings, name)), getattr(settings, name)
        if before != now and any(checkpoint_steps(path) for path in (folder.path, folder.path / INTERRUPTED)):
            raise UserError(
                f"{folder.path} is a run with the {name} {before}; it cannot go on with {now}. Use another --model_dir."
            )


def _make_deterministic() -> None:
    """Has TensorFlow repeat bit for bit on a CPU; on a GPU that would cost speed."""
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _read_data(
    settings: TrainSettings, files: EncoderFiles, config: PretrainedConfig, tasks: tuple[Task, ...]
) -> tuple[list[TaskData], list[TaskData]]:
    vocabulary = load_vocabulary(files.vocabulary_file)
    checks = (vocabulary, files.vocabulary_file, config.max_position_embeddings)
    train = read_task_data(settings.train_input_fp, tasks, *checks)
    check_training_data(train, settings.train_input_fp)
    if not settings.predict_input_fp:
        return train, []
    dev = read_task_data(settings.predict_input_fp, tuple(item.task for item in train), *checks)
    check_dev_data(dev, {item.task.name: item.task_input for item in train})
    return train, dev


def warn_of_changes(settings: TrainSettings) -> None:
    """Names in the log what differs from the settings that the folder's run was started with."""
    folder = RunFolder(Path(settings.model_dir))
    for change in folder.changed_settings(asdict(settings)):
        logging.warning("%s was started with another setting: %s", folder.path, change)


def describe(settings: TrainSettings, prepared: Prepared, model: MultiTaskModel) -> None:
    """Writes what the run's folder says about the run, and logs it as EasyTransfer did."""
    folder = RunFolder(Path(settings.model_dir))
    inputs = {item.task.name: item.task_input for item in prepared.train}
    vocabulary_file = prepared.files.vocabulary_file
    folder.write_model(
        model.encoder.config, vocabulary_file, prepared.tasks, inputs, type(model).__name__, model.architecture
    )
    folder.write_train_config(
        asdict(settings), {"train": [item.summary() for item in prepared.train]}, asdict(prepared.plan)
    )
    for name, value in _log_block(settings, prepared).items():
        logging.info("%s: %s", name, value)
    for item in prepared.train:
        logging.info("%s: %d rows of %s", item.task.name, len(item.rows), item.file.path)


def _log_block(settings: TrainSettings, prepared: Prepared) -> dict[str, Any]:
    return {
        "model_dir": settings.model_dir,
        "learning rate": settings.learning_rate,
        "train batch size": settings.train_batch_size,
        "num accumulated batches": settings.num_accumulated_batches,
        "num train examples per epoch": sum(len(item.rows) for item in prepared.train),
        "num epochs": settings.num_epochs,
        "train steps": prepared.plan.train_steps,
        "save steps": prepared.plan.save_steps,
        "keep checkpoint max": settings.keep_checkpoint_max,
        "warmup steps": prepared.plan.warmup_steps,
        "gradient clip": settings.gradient_clip,
        "clip norm value": settings.clip_norm_value,
        "optimizer": settings.optimizer,
        "step mode": settings.step_mode,
        "loss weighting": settings.loss_weighting,
        "seed": settings.seed,
    }
