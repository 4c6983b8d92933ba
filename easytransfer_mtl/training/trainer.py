"""Runs a training: builds model, data, weighting and optimizer, and fits the model."""

import logging
import signal
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import tf_keras
from tqdm.contrib.logging import logging_redirect_tqdm

from easytransfer_mtl.config.options import changed
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import Stopped
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.own_code import own_class
from easytransfer_mtl.runs.callbacks import SaveCheckpoints, StopOnSignal
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.checkpoints import Progress, RunCheckpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.identity import warn_of_changes
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.runs.metrics_log import MetricsLog
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.runs.schedule import WarmupDecay
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.training.averages import WeightAverages
from easytransfer_mtl.training.checks import check_class
from easytransfer_mtl.training.distillation import make_distillation
from easytransfer_mtl.training.distribution import Distribution, make_distribution
from easytransfer_mtl.training.early_stopping import EarlyStopping
from easytransfer_mtl.training.preparation import Prepared, describe, prepare
from easytransfer_mtl.training.start_heads import start_heads
from easytransfer_mtl.training.step import TrainStep
from easytransfer_mtl.training.step_log import StepLog
from easytransfer_mtl.weighting import make_weighting

USUAL = ("learning_rate", "train_batch_size", "num_epochs", "seed", "optimizer", "step_mode", "loss_weighting")
PATHS = ("_fp", "_dir", "_path", "config", "tables")
"""Endings of settings that name files."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        model: with its last weights.
        folder: the run's folder.
        dev: dev rows by task; empty without dev files.
        is_chief: whether this process evaluates.
        stopping: early stopping with its scores; None if it is off.
    """

    model: MultiTaskModel
    folder: RunFolder
    dev: list[TaskData]
    is_chief: bool
    stopping: EarlyStopping | None = None


def evaluation_options(settings: TrainSettings) -> EvaluationOptions:
    """Returns the options with which a training's checkpoints are scored, during and after training."""
    return EvaluationOptions(
        batch_size=settings.predict_batch_size,
        precision=settings.predict_precision,
        swa_checkpoints=settings.swa_checkpoints,
    )


def run_training(settings: TrainSettings, model_class: type[MultiTaskModel] | None = None) -> TrainedRun:
    """Trains, or resumes the run in the same folder unless it is finished.

    Settings and data are checked before the model is built.

    Args:
        settings: the configuration.
        model_class: a subclass of ``MultiTaskModel``; None for the class that the settings name, by default
            ``MultiTaskModel``.

    Raises:
        UserError: settings, encoder, data and the run's folder do not fit each other, or a loss is not finite.
        Stopped: SIGINT, SIGTERM or SIGHUP was received; the last step was saved.
    """
    if model_class is None:
        name = settings.model_class
        model_class = own_class(name, MultiTaskModel, "model_class") if name else MultiTaskModel
    distribution = make_distribution(settings)  # before TensorFlow computes anything
    alone = run_lock(Path(settings.model_dir)) if distribution.is_chief else nullcontext()
    with alone, distribution.watched():
        prepared = prepare(settings, distribution.num_replicas)
        check_class(model_class, prepared.plan.architecture, prepared.losses)
        folder = RunFolder(Path(settings.model_dir))
        if has_checkpoints(folder.path):
            folder.check_class(model_class)
        return _run(settings, prepared, distribution, model_class)


def _run(
    settings: TrainSettings, prepared: Prepared, distribution: Distribution, model_class: type[MultiTaskModel]
) -> TrainedRun:
    """Builds the model, restores the last checkpoint if there is one, and trains the remaining steps."""
    with distribution.scope():
        train_step = _make_step(settings, prepared, model_class)
    model, progress, folder = train_step.model, Progress(), RunFolder(Path(settings.model_dir))
    averages = train_step.averages.averages if train_step.averages else []
    checkpoints = RunCheckpoints(
        model,
        progress,
        folder.path,
        settings.keep_checkpoint_max,
        distribution.is_chief,
        averages,
        train_step.loss_scale,
    )
    step = checkpoints.restore_latest() or 0  # before anything is written: the folder may belong to another model
    distribution.check_same_step(step)
    stopping = _stopping(settings, prepared, train_step.averages, step)
    finished = step >= prepared.plan.steps.train_steps or (stopping is not None and stopping.ending() is not None)
    if distribution.is_chief:
        if step:
            warn_of_changes(settings)
        if not finished:
            describe(settings, prepared, model)
    if finished:
        logging.info("Training is finished already.")
    else:
        _fit(train_step, settings, prepared, distribution, checkpoints, progress, step, stopping)
    return TrainedRun(model, folder, prepared.dev, distribution.is_chief, stopping)


def _stopping(
    settings: TrainSettings, prepared: Prepared, averages: WeightAverages | None, step: int
) -> EarlyStopping | None:
    patience, folder = settings.early_stopping_patience, Path(settings.model_dir)
    if not patience:
        return None
    options = evaluation_options(settings)
    return EarlyStopping(folder, prepared.dev, options, patience, prepared.plan.steps, averages, step)


def _make_step(settings: TrainSettings, prepared: Prepared, model_class: type[MultiTaskModel]) -> TrainStep:
    """Builds the model and its optimizer with initial weights, and the train step."""
    plan, steps = prepared.plan, prepared.plan.steps
    tf_keras.utils.set_random_seed(stream_seed(settings.seed, "layers") % 2**32)  # for layers that a subclass adds
    clock = DropoutClock(settings.seed)
    names = {head.name: head.reads_pooled for head in prepared.heads.values()}
    loaded = load_encoder(prepared.files, clock, settings.random_init, settings.random_pooler, settings.gelu, names)
    model = model_class(loaded.encoder, prepared.tasks, plan.architecture, prepared.losses)
    build_variables(model)
    start_heads(model, loaded, prepared.heads)
    schedule = WarmupDecay(settings.learning_rate, steps.train_steps, steps.warmup_steps, settings.lr_decay == "polynomial")
    optimizer = make_optimizer(settings.optimizer, schedule, settings.weight_decay_ratio)
    optimizer.set_rate_shares(plan.rates.of_variables(model))
    optimizer.build(model.trainable_variables)
    weighting = make_weighting(settings, plan.facts)  # here, so that every replica has a copy of its state
    step = TrainStep(model, weighting, optimizer, settings, prepared.token_dropout, make_distillation(settings))
    model.compile(optimizer, step)
    return step


def _fit(
    train_step: TrainStep,
    settings: TrainSettings,
    prepared: Prepared,
    distribution: Distribution,
    checkpoints: RunCheckpoints,
    progress: Progress,
    step: int,
    stopping: EarlyStopping | None,
) -> None:
    """Trains from ``step`` to the last planned step, or until early stopping or a signal ends it."""
    model, plan = train_step.model, prepared.plan.steps
    if step:
        logging.info("Going on from step %d of %d.", step, plan.train_steps)
    dataset = distribution.dataset(prepared.batches, step, plan.train_steps)

    def fit(callbacks: list[tf_keras.callbacks.Callback]) -> None:
        # For training only: evaluation has its own precision setting.
        with logging_redirect_tqdm(), model.encoder.computing_in(settings.precision):
            model.fit(dataset, epochs=1, steps_per_epoch=plan.train_steps - step, callbacks=callbacks, verbose=0)

    if not distribution.is_chief:
        fit([])
        return
    names = [task.name for task in prepared.tasks]
    columns = {"penalty": model.sharing.has_penalty, "loss_scale": train_step.loss_scale is not None}
    more = tuple(name for name, is_there in columns.items() if is_there)
    with closing(MetricsLog(checkpoints.folder, step, names, more)) as metrics, StopOnSignal(checkpoints, metrics) as stop:
        metrics.add_hyperparameters(_hyperparameters(settings))
        log = StepLog(prepared, train_step, progress, metrics, settings.log_step_count_steps, settings.log_gradients_every)
        # A checkpoint's scores are written before the checkpoint, so that no checkpoint lacks scores.
        fit([log, *([stopping] if stopping else []), SaveCheckpoints(checkpoints, metrics, plan), stop])
    if stop.received is not None:
        name, step = signal.Signals(stop.received).name, int(model.optimizer.iterations.numpy())
        message = f"{name}: stopped after step {step}, saved in {checkpoints.folder}. Start the same command again to go on."
        raise Stopped(message, stop.received)


def _hyperparameters(settings: TrainSettings) -> dict[str, bool | int | float | str]:
    """Returns the settings to compare runs by: the usual ones, and all others that differ from their default."""
    names = dict.fromkeys([*USUAL, *(item.name for item in changed(settings))])
    values = {name: getattr(settings, name) for name in names if not name.endswith(PATHS)}
    return {name: value for name, value in values.items() if value is not None}
