"""Joins model, data, weighting and optimizer to a run."""

import dataclasses
import logging
import signal
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tf_keras
from tqdm.contrib.logging import logging_redirect_tqdm

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import LoadedEncoder, load_encoder
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel, StepOptions
from easytransfer_mtl.models.task_losses import class_weights
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.seeding import stream_seed
from easytransfer_mtl.training.callbacks import SaveCheckpoints, StopOnSignal
from easytransfer_mtl.training.checkpoints import Progress, RunCheckpoints
from easytransfer_mtl.training.distribution import Distribution, make_distribution
from easytransfer_mtl.training.metrics_log import MetricsLog
from easytransfer_mtl.training.optimizers import make_optimizer
from easytransfer_mtl.training.preparation import Prepared, describe, prepare, warn_of_changes
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.schedule import WarmupDecay
from easytransfer_mtl.training.step_log import StepLog
from easytransfer_mtl.training.task_data import TaskData


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: the model with its last weights, its folder, the dev data if there is any, and who evaluates."""

    model: MultiTaskModel
    folder: RunFolder
    dev: list[TaskData]
    is_chief: bool


def run_training(settings: TrainSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> TrainedRun:
    """Trains, or goes on where a run in the same folder stopped, or finds it finished.

    Everything that can be wrong with the settings and the data is found before the model is built.

    Args:
        settings: the configuration.
        model_class: ``MultiTaskModel`` or a subclass.

    Raises:
        UserError: something does not fit.
        Stopped: SIGINT or SIGTERM came; the step was saved.
    """
    distribution = make_distribution(settings)  # before TensorFlow computes anything
    with distribution.watched():
        prepared = prepare(settings, distribution.num_replicas)
        with distribution.scope():
            model = _make_model(settings, prepared, model_class)
        progress = Progress()
        checkpoints = RunCheckpoints(
            model, progress, Path(settings.model_dir), settings.keep_checkpoint_max, distribution.is_chief
        )
        step = checkpoints.restore_latest() or 0  # before anything is written: the folder may be another model's
        distribution.check_same_step(step)
        folder = RunFolder(Path(settings.model_dir))
        if step:
            folder.check_same_model(prepared.files.vocabulary_file, prepared.tasks, model_class)
        if distribution.is_chief:
            if step:
                warn_of_changes(settings)
            if step < prepared.plan.train_steps:
                describe(settings, prepared, model)
        _fit(model, settings, prepared, distribution, checkpoints, progress, step)
    return TrainedRun(model, folder, prepared.dev, distribution.is_chief)


def _make_model(settings: TrainSettings, prepared: Prepared, model_class: type[MultiTaskModel]) -> MultiTaskModel:
    """Builds the model and its optimizer with their first weights."""
    plan = prepared.plan
    tf_keras.utils.set_random_seed(stream_seed(settings.seed, "layers") % 2**32)  # for what a subclass adds
    clock = DropoutClock(settings.seed)
    loaded = load_encoder(prepared.files, clock, settings.random_init, settings.random_pooler, settings.gelu)
    options = _step_options(settings, prepared)
    model = model_class(loaded.encoder, prepared.tasks, prepared.weighting, options, prepared.architecture)
    build_variables(model)
    _start_heads(model, loaded)
    schedule = WarmupDecay(settings.learning_rate, plan.train_steps, plan.warmup_steps, settings.lr_decay == "polynomial")
    model.compile(optimizer=make_optimizer(settings.optimizer, schedule, settings.weight_decay_ratio))
    model.optimizer.build(model.trainable_variables)
    return model


def _step_options(settings: TrainSettings, prepared: Prepared) -> StepOptions:
    weights = {}
    if settings.class_weights != "none":
        for item in prepared.train:
            counts = np.bincount(item.rows.label_ids, minlength=item.task.num_labels)
            weights[item.task.name] = class_weights(counts, settings.class_weights)
    return StepOptions(
        clip_norm=settings.clip_norm_value if settings.gradient_clip else None,
        num_frozen_layers=settings.num_freezed_layers,
        idle_heads=settings.idle_heads,
        num_accumulated_batches=settings.num_accumulated_batches,
        loss=dataclasses.replace(prepared.loss, class_weights=weights),
        scale_heads=settings.scale_heads,
        gram_variables=settings.gram_variables or prepared.weighting.gram_variables,
        on_nonfinite=settings.on_nonfinite,
    )


def _start_heads(model: MultiTaskModel, loaded: LoadedEncoder) -> None:
    """Takes over heads that the checkpoint held, as EasyTransfer's own training checkpoints do."""
    for task in model.tasks:
        arrays = [loaded.heads.get(f"{task.head_name}/{part}") for part in ("kernel", "bias")]
        if all(array is None for array in arrays):
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
) -> None:
    """Trains from ``step`` to the plan's end."""
    plan = prepared.plan
    if step:
        logging.info("Going on from step %d of %d.", step, plan.train_steps)
    if step >= plan.train_steps:
        logging.info("Training is finished already.")
        return
    dataset = distribution.dataset(prepared.batches, step, plan.train_steps)

    def fit(callbacks: list[tf_keras.callbacks.Callback]) -> None:
        # For training only: evaluation is exact, whatever training was in.
        with logging_redirect_tqdm(), model.encoder.computing_in(settings.precision):
            model.fit(dataset, epochs=1, steps_per_epoch=plan.train_steps - step, callbacks=callbacks, verbose=0)

    if not distribution.is_chief:
        fit([])
        return
    names = [task.name for task in prepared.tasks]
    with closing(MetricsLog(checkpoints.folder, step, names)) as metrics, StopOnSignal(checkpoints, metrics) as stop:
        log = StepLog(prepared, progress, metrics, settings.log_step_count_steps, settings.log_gradients_every)
        fit([log, SaveCheckpoints(checkpoints, metrics, plan), stop])
    if stop.received is not None:
        name, step = signal.Signals(stop.received).name, int(model.optimizer.iterations.numpy())
        message = f"{name}: stopped after step {step}, saved in {checkpoints.folder}. Start the same command again to go on."
        raise Stopped(message, stop.received)
