"""How many rows a step of a run has, and which."""

import numpy as np

from easytransfer_mtl.config.limits import MOST_ROWS_A_STEP
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.length_buckets import STEPS_PER_LENGTH, bucket_count, bucket_lengths
from easytransfer_mtl.data.pipeline import RowOrder, TaskBatches, TrainingBatches
from easytransfer_mtl.data.task_order import TaskOrder, sampling_rates
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.weighting.task_values import parse_task_values


def batch_sizes(settings: TrainSettings, task_names: list[str], num_replicas: int) -> list[int]:
    """Returns the rows of each task's batches, all replicas together.

    Raises:
        UserError: settings of one step mode are given in the other, a size is not a whole number, or together they are more
            than ``MOST_ROWS_A_STEP``.
    """
    if settings.step_mode == "alternating":
        if settings.joint_batch_sizes:
            raise UserError("joint_batch_sizes has no effect in alternating steps; set --step_mode=joint or leave it out.")
        size = settings.train_batch_size * settings.num_accumulated_batches * num_replicas
        _check_rows(size, "train_batch_size x num_accumulated_batches x replicas")
        return [size] * len(task_names)
    if settings.num_accumulated_batches > 1:
        raise UserError(
            "num_accumulated_batches works with --step_mode=alternating only; for less memory in joint steps lower "
            "--train_batch_size, or single tasks' --joint_batch_sizes."
        )
    if settings.task_sampling != "round_robin":
        raise UserError(
            "task_sampling has no effect in joint steps, which have a batch of every task; set joint_batch_sizes."
        )
    text = settings.joint_batch_sizes or ""
    sizes = parse_task_values("joint_batch_sizes", text, task_names, float(settings.train_batch_size))
    if any(size < 1 or not size.is_integer() for size in sizes):
        raise UserError(f"joint_batch_sizes {text!r}: every task needs a whole number of rows, at least 1.")
    _check_rows(int(sum(sizes)) * num_replicas, "the tasks' batches x replicas")
    return [int(size) * num_replicas for size in sizes]


def _check_rows(rows: int, what: str) -> None:
    if rows > MOST_ROWS_A_STEP:
        raise UserError(
            f"A step would have {rows:,} rows ({what}); at most {MOST_ROWS_A_STEP:,} are allowed. Lower --train_batch_size "
            "or the others."
        )


def rows_per_step(settings: TrainSettings, sizes: list[int]) -> int:
    """Returns the rows that an optimizer step sees."""
    return sum(sizes) if settings.step_mode == "joint" else sizes[0]


def task_order(settings: TrainSettings, task_names: list[str], num_rows: list[int], steps_per_epoch: int) -> TaskOrder:
    """Returns whose batch each alternating step gets.

    Raises:
        UserError: task_rates does not fit.
    """
    if settings.task_rates and settings.task_sampling != "explicit":
        raise UserError("task_rates has an effect with --task_sampling=explicit only.")
    explicit = parse_task_values("task_rates", settings.task_rates, task_names, 0.0) if settings.task_rates else None
    kind, epochs = settings.task_sampling, settings.num_epochs
    rates = sampling_rates(kind, num_rows, settings.sampling_temperature, explicit, epochs)
    return TaskOrder(len(task_names), rates, steps_per_epoch, settings.seed)


def training_batches(
    settings: TrainSettings, data: list[TaskData], sizes: list[int], order: TaskOrder | None, train_steps: int
) -> TrainingBatches:
    """Returns the run's batches.

    Args:
        settings: the configuration.
        data: the tasks' training rows.
        sizes: ``batch_sizes``.
        order: ``task_order``, or None for joint steps.
        train_steps: of the run; few steps are not worth compiling for many lengths.
    """
    orders = [
        RowOrder(
            num_rows=len(item.rows),
            seed=settings.seed,
            name=item.task.name,
            shuffle=settings.shuffle,
            batch_size=size,
            group=min(settings.length_grouping, max(1, len(item.rows) // size)),
            lengths=item.rows.lengths,
        )
        for item, size in zip(data, sizes, strict=True)
    ]
    if settings.pad_to_full_length:
        lengths = np.array([max(item.padded_length for item in data)])
    else:
        count = bucket_count(settings.length_buckets, train_steps, STEPS_PER_LENGTH)
        lengths = bucket_lengths(np.concatenate([item.rows.lengths for item in data]), count)
    return TrainingBatches(TaskBatches([item.rows for item in data], orders, lengths), order)
