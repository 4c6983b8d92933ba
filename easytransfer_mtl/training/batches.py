"""Batch sizes of a run, and its batches."""

import numpy as np

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.sections import MOST_ROWS_A_STEP
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.length_buckets import STEPS_PER_LENGTH, bucket_count, bucket_lengths
from easytransfer_mtl.data.pipeline import RowOrder, TaskBatches, TrainingBatches
from easytransfer_mtl.data.task_order import TaskOrder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs.task_data import TaskData


def batch_sizes(settings: TrainSettings, task_names: list[str], num_replicas: int) -> list[int]:
    """Returns the number of rows in each task's batches, summed over all replicas.

    Raises:
        UserError: a size is not a whole number, or a step would have more than ``MOST_ROWS_A_STEP`` rows.
    """
    if settings.step_mode == "alternating":
        size = settings.train_batch_size * settings.num_accumulated_batches * num_replicas
        _check_rows(size, "train_batch_size x num_accumulated_batches x replicas")
        return [size] * len(task_names)
    sizes = by_task(settings, "joint_batch_sizes", task_names, settings.train_batch_size).values()
    times = settings.num_accumulated_batches * num_replicas
    _check_rows(sum(sizes) * times, "the tasks' batches x num_accumulated_batches x replicas")
    return [size * times for size in sizes]


def _check_rows(rows: int, what: str) -> None:
    if rows > MOST_ROWS_A_STEP:
        raise UserError(
            f"A step would have {rows:,} rows ({what}); at most {MOST_ROWS_A_STEP:,} are allowed. Lower --train_batch_size "
            "or the others."
        )


def rows_per_step(settings: TrainSettings, sizes: list[int]) -> int:
    """Returns the number of rows in an optimizer step."""
    return sum(sizes) if settings.step_mode == "joint" else sizes[0]


def training_batches(
    settings: TrainSettings, data: list[TaskData], sizes: list[int], order: TaskOrder | None, train_steps: int
) -> TrainingBatches:
    """Returns the run's batches.

    Args:
        settings: the configuration.
        data: the tasks' training rows.
        sizes: the value of ``batch_sizes``.
        order: order of the tasks, or None for joint steps.
        train_steps: of the run; limits the number of padded lengths, since few steps do not justify compiling for many.
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
