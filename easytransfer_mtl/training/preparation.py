"""Reads a run's data and checks its settings and data before the first expensive computation."""

import logging
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from easytransfer_mtl.config.options import by_task, options_of
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.pipeline import TrainingBatches
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.loading import check_embeddings, load_config
from easytransfer_mtl.environment import make_deterministic
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.kept_scores import check_same_dev_rows
from easytransfer_mtl.files import files_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss, label_weights
from easytransfer_mtl.models.variables import parameter_counts
from easytransfer_mtl.own_code import describe as describe_own_code
from easytransfer_mtl.own_code import own_names
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.fold_data import FoldChoice, check_same_fold, choose_fold, read_fold_data
from easytransfer_mtl.runs.folder import RunFolder, check_run_outputs
from easytransfer_mtl.runs.identity import (
    check_same_architecture,
    check_same_data,
    check_same_encoder,
    check_same_tasks,
    data_identity,
    find_encoder_files,
)
from easytransfer_mtl.runs.memory import check_tokens
from easytransfer_mtl.runs.task_data import (
    TaskData,
    check_dev_data,
    check_segments,
    check_training_data,
    check_unlabelled_data,
    read_task_data,
    warn_of_dev_texts,
    with_unlabelled,
)
from easytransfer_mtl.tasks import CONTEST_TASKS, MULTI_LABEL, Task, load_tasks
from easytransfer_mtl.training.batches import rows_per_step, training_batches
from easytransfer_mtl.training.checks import check_encoder, check_settings, warn_without_dropout
from easytransfer_mtl.training.loss_scale import SCALED
from easytransfer_mtl.training.memory import check_memory, estimate
from easytransfer_mtl.training.plan import RunPlan, plan_run
from easytransfer_mtl.training.start_heads import TakenHead, choose_heads
from easytransfer_mtl.training.teacher import Teacher, find_teacher
from easytransfer_mtl.training.token_dropout import TokenDropout, make_token_dropout

UNCHANGEABLE = ("optimizer", "loss_weighting", "step_mode", "ema_decay")


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs except its model.

    Attributes:
        files: the encoder's.
        config: the encoder's.
        train: training rows by task, in the order of the training list.
        unlabelled: training rows without labels, of the tasks that have some.
        dev: dev rows by task; empty without dev files.
        plan: steps, batches and architecture.
        losses: task name -> its loss, including label weights.
        token_dropout: replaces tokens by [MASK], or None.
        batches: of the training steps.
        fold: the fold that training leaves out, or None.
        heads: task name -> the checkpoint's head that it starts from.
        teacher: whose probabilities the training rows have, or None.
    """

    files: EncoderFiles
    config: PretrainedConfig
    train: list[TaskData]
    unlabelled: list[TaskData]
    dev: list[TaskData]
    plan: RunPlan
    losses: dict[str, TaskLoss]
    token_dropout: TokenDropout | None
    batches: TrainingBatches
    fold: FoldChoice | None
    heads: dict[str, TakenHead]
    teacher: Teacher | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks in the order of the training list."""
        return tuple(item.task for item in self.train)


def prepare(settings: TrainSettings, num_replicas: int = 1) -> Prepared:
    """Finds the encoder's files, reads and checks the data, and plans the run.

    Args:
        settings: the configuration.
        num_replicas: number of devices that each compute ``train_batch_size`` rows per step.

    Raises:
        UserError: settings, encoder, data and the run's folder do not fit each other.
    """
    check_settings(settings)
    fold = choose_fold(settings)
    folder = RunFolder(Path(settings.model_dir)) if has_checkpoints(Path(settings.model_dir)) else None
    if folder:
        _check_unchanged(folder, settings, fold)
    make_deterministic()
    files = find_encoder_files(settings)
    config = load_config(files, settings.gelu)
    check_embeddings(files, config)
    check_encoder(settings, config)
    if folder:
        check_same_encoder(folder, files, config)
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    vocabulary, positions = files.vocabulary, most_tokens(config.to_dict())
    checks = (vocabulary, files.vocabulary_file, positions)
    train, dev = _read_data(settings, fold, tasks, checks)
    unlabelled = _read_unlabelled(settings, train, dev, checks)
    teacher = find_teacher(settings, tasks, [*train, *unlabelled], vocabulary)
    if folder:
        _check_same_rows(folder, settings, train, unlabelled, dev, positions, teacher)
    inputs = [*_inputs(settings, files, [*train, *unlabelled, *dev]), *(teacher.inputs if teacher else [])]
    check_run_outputs(Path(settings.model_dir), "best", inputs)
    num_rows = Counter[str]()
    for item in (*train, *unlabelled):
        num_rows[item.task.name] += len(item.rows)
    plan = plan_run(
        settings, [item.task for item in train], [num_rows[item.task.name] for item in train], config, num_replicas
    )
    check_segments([*train, *unlabelled, *dev], plan.architecture, vocabulary.has_types and config.type_vocab_size > 1)
    warn_without_dropout(settings, [item.task for item in train], config, plan.architecture)
    token_dropout = make_token_dropout(settings, list(plan.losses), vocabulary, str(files.vocabulary_file))
    heads = choose_heads(settings, [item.task for item in train], files, plan.architecture)
    if folder:
        check_same_architecture(folder, plan.architecture)
    length = max(item.task_input.sequence_length for item in train)
    check_tokens(rows_per_step(settings, plan.sizes), length)
    read = tuple(item.task for item in train)
    check_memory(estimate(settings, plan, config, read, length), settings)
    if teacher:
        taught = teacher.taught()
        train, unlabelled = taught[: len(train)], taught[len(train) :]
    drawn = with_unlabelled(train, unlabelled)
    batches = training_batches(settings, drawn, plan.sizes, plan.order, plan.steps.train_steps)
    losses = _with_label_weights(settings, plan.losses, train)
    return Prepared(files, config, train, unlabelled, dev, plan, losses, token_dropout, batches, fold, heads, teacher)


def _with_label_weights(settings: TrainSettings, losses: dict[str, TaskLoss], train: list[TaskData]) -> dict[str, TaskLoss]:
    """Returns the losses with label weights computed from the label frequencies in the labelled training rows."""
    kinds = by_task(settings, "class_weights", list(losses))
    weighted = dict(losses)
    for item in train:
        name, kind = item.task.name, kinds.get(item.task.name, "none")
        if kind != "none":
            label_ids, several = item.rows.targets, item.task.type == MULTI_LABEL
            label_ids = label_ids if several else label_ids[label_ids >= 0]
            counts = label_ids.sum(axis=0) if several else np.bincount(label_ids, minlength=item.task.num_labels)
            weighted[name] = replace(losses[name], label_weights=label_weights(counts, kind))
    return weighted


def _inputs(settings: TrainSettings, files: EncoderFiles, data: list[TaskData]) -> list[Path]:
    given = (settings.train_input_fp, settings.distillation_unlabelled_fp, settings.predict_input_fp)
    lists = [Path(text) for text in given if text]
    read = [item.file.path for item in data]
    return [*files_in(files.folder), *lists, *read, *map(manifest_path, read), *settings.named_files]


def _check_unchanged(folder: RunFolder, settings: TrainSettings, fold: FoldChoice | None) -> None:
    """Raises UserError if the folder's run has another fold, or another value of an ``UNCHANGEABLE`` setting: its state
    would be restored wrongly, or its steps counted differently."""
    check_same_fold(folder, fold)
    written = folder.written_settings()
    for name in UNCHANGEABLE:
        before, now = written.get(name, getattr(settings, name)), getattr(settings, name)
        if before != now:
            raise UserError(
                f"{folder.path} is a run with the {name} {before}; it cannot go on with {now}. Use another --model_dir."
            )
    before, now = written.get("precision", settings.precision), settings.precision
    if before != now and SCALED in (before, now):
        raise UserError(
            f"{folder.path} is a run with the precision {before}, and only one with {SCALED} has a loss scale: it cannot go "
            f"on with {now}. Use another --model_dir."
        )


def _check_same_rows(
    folder: RunFolder,
    settings: TrainSettings,
    train: list[TaskData],
    unlabelled: list[TaskData],
    dev: list[TaskData],
    positions: int | None,
    teacher: Teacher | None,
) -> None:
    """Raises UserError if the folder's run has other tasks, training rows or another teacher, or, with early stopping, other
    dev rows."""
    check_same_tasks(folder, tuple(item.task for item in train))
    check_same_data(folder, settings, train, unlabelled, positions, teacher.identity if teacher else {})
    if settings.early_stopping_patience:
        check_same_dev_rows(folder.path, dev, settings.predict_precision)


def _read_data(
    settings: TrainSettings, fold: FoldChoice | None, tasks: tuple[Task, ...], checks: tuple[AnyVocabulary, Path, int | None]
) -> tuple[list[TaskData], list[TaskData]]:
    """Returns the training and the dev rows; ``checks`` are the other arguments of ``read_task_data``."""
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


def _read_unlabelled(
    settings: TrainSettings, train: list[TaskData], dev: list[TaskData], checks: tuple[AnyVocabulary, Path, int | None]
) -> list[TaskData]:
    """Returns the training rows without labels; ``checks`` are the other arguments of ``read_task_data``."""
    if settings.distillation_unlabelled_fp is None:
        return []
    tasks = tuple(item.task for item in train)
    unlabelled = read_task_data(settings.distillation_unlabelled_fp, tasks, *checks, labelled=False)
    check_unlabelled_data(unlabelled, {item.task.name: item.task_input for item in train})
    warn_of_dev_texts(unlabelled, dev)
    return unlabelled


def describe(settings: TrainSettings, prepared: Prepared, model: MultiTaskModel) -> None:
    """Writes the description of the run into its folder, and logs it as EasyTransfer did."""
    folder = RunFolder(Path(settings.model_dir))
    inputs = {item.task.name: item.task_input for item in prepared.train}
    vocabulary = prepared.files.vocabulary
    named = {
        item.name: own_names(getattr(settings, item.name)) for item in options_of(type(settings)).values() if item.own_code
    }
    own_code = describe_own_code(named)
    folder.write_model(
        model.encoder.config, vocabulary, prepared.tasks, inputs, type(model).__name__, model.architecture, own_code
    )
    teacher = prepared.teacher.identity if prepared.teacher else {}
    data = data_identity(settings, prepared.train, prepared.dev, prepared.unlabelled, teacher)
    if prepared.fold:
        data["fold"] = prepared.fold.identity
    folder.write_train_config(asdict(settings), data, asdict(prepared.plan.steps))
    for name, value in _log_block(settings, prepared).items():
        logging.info("%s: %s", name, value)
    counts = parameter_counts(model)
    logging.info("parameters: %s", ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    for item in prepared.train:
        logging.info("%s: %d rows of %s", item.task.name, len(item.rows), item.file.path)
    for item in prepared.unlabelled:
        logging.info("%s: %d rows without labels of %s", item.task.name, len(item.rows), item.file.path)


def _log_block(settings: TrainSettings, prepared: Prepared) -> dict[str, Any]:
    return {
        "model_dir": settings.model_dir,
        "learning rate": settings.learning_rate,
        "train batch size": settings.train_batch_size,
        "num accumulated batches": settings.num_accumulated_batches,
        "num train examples per epoch": sum(len(item.rows) for item in (*prepared.train, *prepared.unlabelled)),
        "num epochs": settings.num_epochs,
        "train steps": prepared.plan.steps.train_steps,
        "save steps": prepared.plan.steps.save_steps,
        "keep checkpoint max": settings.keep_checkpoint_max,
        "warmup steps": prepared.plan.steps.warmup_steps,
        "gradient clip": settings.gradient_clip,
        "clip norm value": settings.clip_norm_value,
        "optimizer": settings.optimizer,
        "step mode": settings.step_mode,
        "loss weighting": settings.loss_weighting,
        "seed": settings.seed,
    }
