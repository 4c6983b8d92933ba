"""Joins model, data, weighting and optimizer to a run."""

import logging
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.pipeline import RowOrder, TrainingBatches
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.loading import LoadedEncoder, load_config, load_encoder
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel, StepOptions
from easytransfer_mtl.tasks import CONTEST_TASKS, Task, load_tasks
from easytransfer_mtl.training.callbacks import SaveCheckpoints, StepLog, StopOnSignal
from easytransfer_mtl.training.checkpoints import Progress, RunCheckpoints
from easytransfer_mtl.training.metrics_log import MetricsLog
from easytransfer_mtl.training.optimizers import make_optimizer
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.schedule import WarmupDecay
from easytransfer_mtl.training.step_plan import StepPlan, plan_steps
from easytransfer_mtl.training.task_data import TaskData, check_training_data, read_task_data
from easytransfer_mtl.weighting import make_weighting


class Interrupted(Exception):
    """A signal stopped training; the run goes on from there when it is started again."""

    def __init__(self, number: int, step: int, folder: Path) -> None:
        self.exit_code = 128 + number
        name = signal.Signals(number).name
        super().__init__(f"{name}: stopped after step {step}, saved in {folder}. Start the same command again to go on.")


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: the model with its last weights, its tasks, folder, and the dev data if there is any."""

    model: MultiTaskModel
    tasks: tuple[Task, ...]
    folder: RunFolder
    dev: list[TaskData]


def run_training(settings: TrainSettings, model_class: type[MultiTaskModel] = MultiTaskModel) -> TrainedRun:
    """Trains, or goes on where a run in the same folder stopped, or finds it finished.

    Everything that can be wrong with the settings and the data is found before the model is built.

    Args:
        settings: the configuration.
        model_class: ``MultiTaskModel`` or a subclass.

    Raises:
        UserError: something does not fit.
        Interrupted: SIGINT or SIGTERM came; the step was saved.
    """
    _prepare_tensorflow(settings)
    files = find_encoder(settings.pretrain_model_name_or_path, settings.modelZooBasePath, not settings.random_init)
    data, dev = _read_data(settings, files)
    check_training_data(data, settings.train_input_fp)
    tasks = tuple(item.task for item in data)
    plan = _plan(settings, data)
    weighting = make_weighting(settings.loss_weighting, [task.name for task in tasks], settings.task_weights)
    loaded = load_encoder(files, DropoutClock(settings.seed), settings.random_init, settings.random_pooler, settings.gelu)
    model = model_class(loaded.encoder, tasks, weighting, _step_options(settings), settings.head_dropout)
    _start_heads(model, loaded)
    schedule = WarmupDecay(settings.learning_rate, plan.train_steps, plan.warmup_steps, settings.lr_decay == "polynomial")
    model.compile(optimizer=make_optimizer(settings.optimizer, schedule, settings.weight_decay_ratio))
    model.optimizer.build(model.trainable_variables)
    folder = _describe(settings, data, loaded, files, plan)
    _fit(model, settings, data, plan, folder)
    return TrainedRun(model, tasks, folder, dev)


def _prepare_tensorflow(settings: TrainSettings) -> None:
    """Sets what must be set before the first operation."""
    if settings.workerCount > 1 or settings.task_index > 0 or "," in settings.worker_hosts:
        raise UserError("Only one worker is supported: leave workerCount, task_index and worker_hosts at their defaults.")
    if settings.workerGPU > 1:
        raise UserError(f"workerGPU is {settings.workerGPU}; only one GPU is supported: set --workerGPU=1.")
    if settings.outputs:
        raise UserError("--outputs has no meaning in training; the run's folder is --model_dir.")
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    if settings.precision == "bfloat16":
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})


def _read_data(settings: TrainSettings, files: EncoderFiles) -> tuple[list[TaskData], list[TaskData]]:
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    config = load_config(files, settings.gelu)
    vocabulary = load_vocabulary(files.vocabulary_file)
    checks = (vocabulary, files.vocabulary_file, config.max_position_embeddings)
    data = read_task_data(settings.train_input_fp, tasks, *checks)
    if not settings.predict_input_fp:
        return data, []
    return data, read_task_data(settings.predict_input_fp, tuple(item.task for item in data), *checks)


def _plan(settings: TrainSettings, data: list[TaskData]) -> StepPlan:
    rows = sum(len(item.rows) for item in data)
    global_batch_size = settings.train_batch_size * settings.num_accumulated_batches
    return plan_steps(rows, settings.num_epochs, global_batch_size, settings.warmup_ratio, settings.save_steps)


def _step_options(settings: TrainSettings) -> StepOptions:
    return StepOptions(
        clip_norm=settings.clip_norm_value if settings.gradient_clip else None,
        num_frozen_layers=settings.num_freezed_layers,
        idle_heads=settings.idle_heads,
        num_accumulated_batches=settings.num_accumulated_batches,
    )


def _start_heads(model: MultiTaskModel, loaded: LoadedEncoder) -> None:
    """Takes over heads that the checkpoint held, as EasyTransfer's own training checkpoints do."""
    for task in model.tasks:
        arrays = [loaded.heads.get(f"{task.head_name}/{part}") for part in ("kernel", "bias")]
        head = model.heads[task.logits_name]
        if all(array is not None and array.shape == weight.shape for array, weight in zip(arrays, head.get_weights())):
            head.set_weights(arrays)
            logging.info("Load head %s from the checkpoint", task.head_name)


def _describe(settings: TrainSettings, data: list[TaskData], loaded: LoadedEncoder, files: EncoderFiles, plan: StepPlan) -> RunFolder:
    """Writes what the run's folder says about the run, and logs it as EasyTransfer did."""
    folder = RunFolder(Path(settings.model_dir))
    for change in folder.changed_settings(asdict(settings)):
        logging.warning("%s was started with another setting: %s", folder.path, change)
    inputs = {item.task.name: item.task_input for item in data}
    folder.write_model(loaded.encoder.config, files.vocabulary_file, tuple(item.task for item in data), inputs)
    folder.write_train_config(asdict(settings), {"train": [item.summary() for item in data]}, asdict(plan))
    rows = sum(len(item.rows) for item in data)
    block: dict[str, Any] = {
        "model_dir": settings.model_dir, "learning rate": settings.learning_rate, "train batch size": settings.train_batch_size,
        "num accumulated batches": settings.num_accumulated_batches, "num train examples per epoch": rows,
        "num epochs": settings.num_epochs, "train steps": plan.train_steps, "save steps": plan.save_steps,
        "keep checkpoint max": settings.keep_checkpoint_max, "warmup steps": plan.warmup_steps,
        "gradient clip": settings.gradient_clip, "clip norm value": settings.clip_norm_value,
        "optimizer": settings.optimizer, "loss weighting": settings.loss_weighting, "seed": settings.seed,
    }
    for name, value in block.items():
        logging.info("%s: %s", name, value)
    for item in data:
        logging.info("%s: %d rows of %s", item.task.name, len(item.rows), item.file.path)
    return folder


def _fit(model: MultiTaskModel, settings: TrainSettings, data: list[TaskData], plan: StepPlan, folder: RunFolder) -> None:
    progress = Progress()
    checkpoints = RunCheckpoints(model, progress, folder.path, settings.keep_checkpoint_max)
    step = checkpoints.restore_latest() or 0
    if step:
        logging.info("Going on from step %d of %d.", step, plan.train_steps)
    if step >= plan.train_steps:
        logging.info("Training is finished already.")
        return
    metrics = MetricsLog(folder.path, step)
    rows_per_step = settings.train_batch_size * settings.num_accumulated_batches
    stop = StopOnSignal(checkpoints, metrics)
    callbacks = [
        StepLog(model.tasks, plan, progress, metrics, rows_per_step, settings.log_step_count_steps),
        SaveCheckpoints(checkpoints, metrics, plan),
        stop,
    ]
    try:
        dataset = _dataset(_batches(settings, data, rows_per_step), step, plan.train_steps)
        model.fit(dataset, epochs=1, steps_per_epoch=plan.train_steps - step, callbacks=callbacks, verbose=0)
    finally:
        metrics.close()
    if stop.received is not None:
        raise Interrupted(stop.received, int(model.optimizer.iterations), folder.path)


def _batches(settings: TrainSettings, data: list[TaskData], rows_per_step: int) -> TrainingBatches:
    orders = [
        RowOrder(
            num_rows=len(item.rows), seed=settings.seed, name=item.task.name, shuffle=settings.shuffle,
            batch_size=rows_per_step, group=settings.length_grouping, lengths=item.rows.lengths,
        )
        for item in data
    ]
    padded_length = max(item.padded_length for item in data) if settings.pad_to_full_length else None
    return TrainingBatches([item.rows for item in data], list(range(len(data))), orders, padded_length)


def _dataset(batches: TrainingBatches, start: int, stop: int) -> tf.data.Dataset:
    rows, scalar = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)
    signature: dict[str, tf.TensorSpec] = {
        "input_ids": rows, "input_mask": rows, "segment_ids": rows, "label_ids": tf.TensorSpec([None], tf.int32), "task_id": scalar
    }

    def generate() -> "Batch":
        yield from batches.steps(start, stop)

    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)
