"""Everything that can be wrong with a run's settings and data, found before the first expensive step."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.pipeline import TrainingBatches
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.loading import check_embeddings, load_config
from easytransfer_mtl.environment import make_deterministic
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.kept_scores import check_same_dev_rows
from easytransfer_mtl.files import files_in
from easytransfer_mtl.models.adversarial import Adversary
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.models.token_dropout import TokenDropout, make_token_dropout
from easytransfer_mtl.models.variables import parameter_counts
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.fold_data import FoldChoice, check_same_fold, choose_fold, read_fold_data
from easytransfer_mtl.runs.folder import RunFolder, check_run_outputs
from easytransfer_mtl.runs.identity import (
    check_same_data,
    check_same_encoder,
    check_same_tasks,
    data_identity,
    find_encoder_files,
)
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.runs.task_data import TaskData, check_dev_data, check_training_data, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, Task, load_tasks
from easytransfer_mtl.training.batches import training_batches
from easytransfer_mtl.training.choices import choose
from easytransfer_mtl.training.loss_choice import label_weights
from easytransfer_mtl.training.memory_estimate import tell
from easytransfer_mtl.training.model_choice import ModelChoice, check_encoder, choose_model
from easytransfer_mtl.weighting import TaskWeighting

UNCHANGEABLE = ("optimizer", "loss_weighting", "step_mode", "ema_decay")


@dataclass(frozen=True)
class Prepared:
    """What a run needs besides its model: checked files and rows, and what follows from its settings."""

    files: EncoderFiles
    train: list[TaskData]
    dev: list[TaskData]
    plan: StepPlan
    weighting: TaskWeighting
    loss: LossOptions
    adversary: Adversary | None
    token_dropout: TokenDropout | None
    model: ModelChoice
    batches: TrainingBatches
    fold: FoldChoice | None

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
    fold = choose_fold(settings)
    _check_unchanged(settings, fold)
    if settings.is_distributed:
        if settings.on_nonfinite == "skip" or settings.log_gradients_every:
            raise UserError(
                "on_nonfinite skip and log_gradients_every work without distribution_strategy only; leave them out with "
                "several GPUs or workers."
            )
    make_deterministic()
    files = find_encoder_files(settings)
    config = load_config(files, settings.gelu)
    check_embeddings(files, config)
    check_encoder(settings, config)
    if has_checkpoints(Path(settings.model_dir)):
        check_same_encoder(RunFolder(Path(settings.model_dir)), files, config)
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    vocabulary, positions = files.vocabulary, most_tokens(config.to_dict())
    train, dev = _read_data(settings, fold, tasks, (vocabulary, files.vocabulary_file, positions))
    _check_same_rows(settings, train, dev, positions)
    check_run_outputs(Path(settings.model_dir), "best", _inputs(settings, files, [*train, *dev]))
    tasks_read, num_rows = [item.task for item in train], [len(item.rows) for item in train]
    choices = choose(settings, tasks_read, num_rows, num_replicas)
    token_dropout = make_token_dropout(choices.token_dropout, vocabulary, str(files.vocabulary_file))
    model = choose_model(settings, train, config, choices)
    batches = training_batches(settings, train, choices.sizes, choices.order, choices.plan.train_steps)
    rows = {item.task.name: (item.rows, item.task.num_labels) for item in train}
    loss = replace(choices.loss, class_weights=label_weights(settings, rows))
    weighting, adversary = choices.weighting, choices.adversary
    return Prepared(files, train, dev, choices.plan, weighting, loss, adversary, token_dropout, model, batches, fold)


def _inputs(settings: TrainSettings, files: EncoderFiles, data: list[TaskData]) -> list[Path]:
    """Returns the files that a run reads."""
    lists = [Path(text) for text in (settings.train_input_fp, settings.predict_input_fp) if text]
    read = [item.file.path for item in data]
    return [*files_in(files.folder), *lists, *read, *map(manifest_path, read), *settings.named_files]


def _check_unchanged(settings: TrainSettings, fold: FoldChoice | None) -> None:
    """Raises UserError if the folder's run has other state, which would be taken for this one's, or counts other steps."""
    folder = RunFolder(Path(settings.model_dir))
    if not has_checkpoints(folder.path):
        return
    check_same_fold(folder, fold)
    written = folder.written_settings()
    for name in UNCHANGEABLE:
        before, now = written.get(name, getattr(settings, name)), getattr(settings, name)
        if before != now:
            raise UserError(
                f"{folder.path} is a run with the {name} {before}; it cannot go on with {now}. Use another --model_dir."
            )


def _check_same_rows(settings: TrainSettings, train: list[TaskData], dev: list[TaskData], positions: int | None) -> None:
    """Raises UserError if the folder's run is on other tasks or rows, or stops by its scores on other dev rows."""
    folder = RunFolder(Path(settings.model_dir))
    if not has_checkpoints(folder.path):
        return
    check_same_tasks(folder, tuple(item.task for item in train))
    check_same_data(folder, settings, train, positions)
    if settings.early_stopping_patience:
        check_same_dev_rows(folder.path, dev, settings.predict_precision)


def _read_data(
    settings: TrainSettings, fold: FoldChoice | None, tasks: tuple[Task, ...], checks: tuple[Vocabulary, Path, int | None]
) -> tuple[list[TaskData], list[TaskData]]:
    """Returns the rows to train on and to evaluate on; ``checks`` are ``read_task_data``'s other arguments."""
    if fold:
        train, dev = read_fold_data(fold, settings.train_input_fp, lambda path: read_task_data(path, tasks, *checks))
        check_training_data(train, settings.train_input_fp)
        return train, dev
    train = read_task_data(settings.train_input_fp, tasks, *checks)
    check_training_data(train, settings.train_input_fp)
    if not settings.predict_input_fp:
        return train, []
    dev = read_task_data(settings.predict_input_fp, tuple(item.task for item in train), *checks)
    check_dev_data(dev, {item.task.name: item.task_input for item in train})
    return train, dev


def describe(settings: TrainSettings, prepared: Prepared, model: MultiTaskModel) -> None:
    """Writes what the run's folder says about the run, and logs it as EasyTransfer did."""
    folder = RunFolder(Path(settings.model_dir))
    inputs = {item.task.name: item.task_input for item in prepared.train}
    vocabulary = prepared.files.vocabulary
    folder.write_model(model.encoder.config, vocabulary, prepared.tasks, inputs, type(model).__name__, model.architecture)
    data = data_identity(settings, prepared.train, prepared.dev)
    if prepared.fold:
        data["fold"] = prepared.fold.identity
    folder.write_train_config(asdict(settings), data, asdict(prepared.plan))
    for name, value in _log_block(settings, prepared).items():
        logging.info("%s: %s", name, value)
    counts = parameter_counts(model)
    logging.info("parameters: %s", ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    tell(prepared.model.memory, prepared.model.architecture)
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
