"""Joins model, data, weighting and optimizer to a run."""

import logging
import signal
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
import tf_keras
from tqdm.contrib.logging import logging_redirect_tqdm

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import LoadedEncoder, load_encoder
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.evaluation.options import EvaluationOptions
from easytransfer_mtl.models.adversarial import check_attacked
from easytransfer_mtl.models.averages import WeightAverages
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.models.task_parts import task_spec
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.runs.callbacks import SaveCheckpoints, StopOnSignal
from easytransfer_mtl.runs.checkpoint_files import has_checkpoints
from easytransfer_mtl.runs.checkpoints import AVERAGES, Progress, RunCheckpoints
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.identity import warn_of_changes
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.runs.metrics_log import MetricsLog
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.runs.schedule import WarmupDecay
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.training.distribution import Distribution, make_distribution
from easytransfer_mtl.training.early_stopping import EarlyStopping
from easytransfer_mtl.training.model_choice import check_class
from easytransfer_mtl.training.preparation import Prepared, describe, prepare
from easytransfer_mtl.training.step_log import StepLog


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: the model with its last weights, its folder, the dev data if there is any, who evaluates, and what
    early stopping found, if it is on."""

    model: MultiTaskModel
    folder: RunFolder
    dev: list[TaskData]
    is_chief: bool
    stopping: EarlyStopping | None = None


def evaluation_options(settings: TrainSettings) -> EvaluationOptions:
    """Returns how a training's checkpoints are scored, while it goes on and after it."""
    return EvaluationOptions(
        batch_size=settings.predict_batch_size,
        precision=settings.predict_precision,
        swa_checkpoints=settings.swa_checkpoints,
    )


def run_training(settings: TrainSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> TrainedRun:
    """Trains, or goes on where a run in the same folder stopped, or finds it finished.

    Everything that can be wrong with the settings and the data is found before the model is built.

    Args:
        settings: the configuration.
        model_class: ``MultiTaskModel`` or a subclass.

    Raises:
        UserError: something does not fit.
        Stopped: SIGINT, SIGTERM or SIGHUP came; the step was saved.
    """
    distribution = make_distribution(settings)  # before TensorFlow computes anything
    alone = run_lock(Path(settings.model_dir)) if distribution.is_chief else nullcontext()
    with alone, distribution.watched():
        prepared = prepare(settings, distribution.num_replicas)
        check_class(model_class, prepared.model.architecture, prepared.loss)
        folder = RunFolder(Path(settings.model_dir))
        if has_checkpoints(folder.path):
            folder.check_class(model_class)
        return _run(settings, prepared, distribution, model_class)


def _run(
    settings: TrainSettings, prepared: Prepared, distribution: Distribution, model_class: type[MultiTaskModel]
) -> TrainedRun:
    """Builds the model, restores what there is of the run, and trains what is left."""
    with distribution.scope():
        model = _make_model(settings, prepared, model_class)
    progress, folder = Progress(), RunFolder(Path(settings.model_dir))
    more = {AVERAGES: tf.train.Checkpoint(values=model.averages.averages)} if model.averages else {}
    checkpoints = RunCheckpoints(model, progress, folder.path, settings.keep_checkpoint_max, distribution.is_chief, **more)
    step = checkpoints.restore_latest() or 0  # before anything is written: the folder may be another model's
    distribution.check_same_step(step)
    stopping = _stopping(settings, prepared, step)
    finished = step >= prepared.plan.train_steps or (stopping is not None and stopping.ending() is not None)
    if distribution.is_chief:
        if step:
            warn_of_changes(settings)
        if not finished:
            describe(settings, prepared, model)
    if finished:
        logging.info("Training is finished already.")
    else:
        _fit(model, settings, prepared, distribution, checkpoints, progress, step, stopping)
    return TrainedRun(model, folder, prepared.dev, distribution.is_chief, stopping)


def _stopping(settings: TrainSettings, prepared: Prepared, step: int) -> EarlyStopping | None:
    """Returns what stops the run early, if anything does."""
    patience, folder = settings.early_stopping_patience, Path(settings.model_dir)
    if not patience:
        return None
    return EarlyStopping(folder, prepared.dev, evaluation_options(settings), patience, prepared.plan, step)


def _make_model(settings: TrainSettings, prepared: Prepared, model_class: type[MultiTaskModel]) -> MultiTaskModel:
    """Builds the model and its optimizer with their first weights."""
    plan = prepared.plan
    tf_keras.utils.set_random_seed(stream_seed(settings.seed, "layers") % 2**32)  # for what a subclass adds
    clock = DropoutClock(settings.seed)
    loaded = load_encoder(prepared.files, clock, settings.random_init, settings.random_pooler, settings.gelu)
    options = _step_options(settings, prepared)
    model = model_class(loaded.encoder, prepared.tasks, prepared.weighting, options, prepared.model.architecture)
    build_variables(model)
    check_attacked(model)
    _start_heads(model, loaded)
    schedule = WarmupDecay(settings.learning_rate, plan.train_steps, plan.warmup_steps, settings.lr_decay == "polynomial")
    optimizer = make_optimizer(settings.optimizer, schedule, settings.weight_decay_ratio)
    optimizer.set_rate_shares(prepared.model.rates.of_variables(model))
    model.compile(optimizer=optimizer)
    model.optimizer.build(model.trainable_variables)
    if settings.ema_decay:
        model.averages = WeightAverages(model.trainable_variables, settings.ema_decay)
    return model


def _step_options(settings: TrainSettings, prepared: Prepared) -> StepOptions:
    return StepOptions(
        clip_norm=settings.clip_norm_value if settings.gradient_clip else None,
        num_frozen_layers=settings.num_freezed_layers,
        idle_heads=settings.idle_heads,
        num_accumulated_batches=settings.num_accumulated_batches,
        loss=prepared.loss,
        scale_heads=settings.scale_heads,
        gram_variables=settings.gram_variables or prepared.weighting.gram_variables,
        on_nonfinite=settings.on_nonfinite,
        rdrop_alpha=settings.rdrop_alpha,
        part_dropout=prepared.model.part_dropout,
        token_dropout=prepared.token_dropout,
        adversary=prepared.adversary,
    )


def _start_heads(model: MultiTaskModel, loaded: LoadedEncoder) -> None:
    """Takes over heads that the checkpoint held, as EasyTransfer's own training checkpoints do; they read pooled output."""
    for task in model.tasks:
        arrays = [loaded.heads.get(f"{task.head_name}/{part}") for part in ("kernel", "bias")]
        if all(array is None for array in arrays):
            continue
        feature, kind = task_spec(model.architecture, task)
        if (feature.text, kind.text) != ("pooled", "dense") or not model.sharing.starts_as_hard:
            logging.warning("%s starts random: the checkpoint's head is dense on the encoder's pooled output.", task.name)
            continue
        head = model.heads[task.logits_name]
        found = [None if array is None else array.shape for array in arrays]
        wanted = [weight.shape for weight in head.get_weights()]
        if found != wanted:
            raise UserError(
                f"The checkpoint's head {task.head_name} has kernel and bias of the shapes {found}; the task needs {wanted}."
                " Use a checkpoint of the same labels, or one without task heads."
            )
        head.set_weights(arrays)
        logging.info("Load head %s from the checkpoint", task.head_name)


def _fit(
    model: MultiTaskModel,
    settings: TrainSettings,
    prepared: Prepared,
    distribution: Distribution,
    checkpoints: RunCheckpoints,
    progress: Progress,
    step: int,
    stopping: EarlyStopping | None,
) -> None:
    """Trains from ``step`` to the plan's end, or to where it is stopped."""
    plan = prepared.plan
    if step:
        logging.info("Going on from step %d of %d.", step, plan.train_steps)
    dataset = distribution.dataset(prepared.batches, step, plan.train_steps)

    def fit(callbacks: list[tf_keras.callbacks.Callback]) -> None:
        # For training only: evaluation is exact, whatever training was in.
        with logging_redirect_tqdm(), model.encoder.computing_in(settings.precision):
            model.fit(dataset, epochs=1, steps_per_epoch=plan.train_steps - step, callbacks=callbacks, verbose=0)

    if not distribution.is_chief:
        fit([])
        return
    names, more = [task.name for task in prepared.tasks], ("penalty",) if model.sharing.has_penalty else ()
    with closing(MetricsLog(checkpoints.folder, step, names, more)) as metrics, StopOnSignal(checkpoints, metrics) as stop:
        log = StepLog(prepared, progress, metrics, settings.log_step_count_steps, settings.log_gradients_every)
        # Scores come before the checkpoint that they are of, so that no checkpoint is without them.
        fit([log, *([stopping] if stopping else []), SaveCheckpoints(checkpoints, metrics, plan), stop])
    if stop.received is not None:
        name, step = signal.Signals(stop.received).name, int(model.optimizer.iterations.numpy())
        message = f"{name}: stopped after step {step}, saved in {checkpoints.folder}. Start the same command again to go on."
        raise Stopped(message, stop.received)
