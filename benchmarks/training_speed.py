"""Training: rows a second on the contest's mix of lengths, from the original's recipe to ours, one change at a time."""

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.lengths import FIRST_ID
from benchmarks.models import OriginalRecipe, make_model
from benchmarks.sizes import VOCABULARY_SIZE
from easytransfer_mtl.data.encoded_rows import Batch, EncodedRows
from easytransfer_mtl.data.length_buckets import bucket_lengths
from easytransfer_mtl.data.pipeline import RowOrder, TaskBatches, TrainingBatches
from easytransfer_mtl.data.task_order import TaskOrder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.seeding import DEFAULT_SEED, generator
from easytransfer_mtl.tasks import CONTEST_TASKS, Task
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE

GROUP, BUCKETS = 100, 32
BATCHES_PER_TASK = 3
JOINT = {task.name: BATCH_SIGNATURE for task in CONTEST_TASKS}
"""What a joint step of the contest's tasks takes."""


@dataclass(frozen=True)
class TrainingMode:
    """One way to train.

    Attributes:
        name: as in the table.
        batch_size: rows a step.
        full_length: pad to the full length instead of the batch's longest row.
        group: batches that are sorted by length together.
        precision: of states and matrix products.
        original: stock layers and optimizer.
    """

    name: str
    batch_size: int
    full_length: bool
    group: int
    precision: str = "float32"
    original: bool = False


def training_modes(batch_size: int) -> tuple[TrainingMode, ...]:
    """Returns the modes; all but the last have the original's batch of 16, the last has ``batch_size``."""
    return (
        TrainingMode("original", 16, True, 1, original=True),
        TrainingMode("our layers", 16, True, 1),
        TrainingMode("+ trimmed", 16, False, 1),
        TrainingMode("+ grouped by length", 16, False, GROUP),
        TrainingMode("+ bfloat16", 16, False, GROUP, "bfloat16"),
        TrainingMode(f"+ batch {batch_size} (recommended)", batch_size, False, GROUP, "bfloat16"),
    )


class TimedStep:
    """A model's train step as one traced function."""

    def __init__(self, model: MultiTaskModel, precision: str = "float32", signature: Any = BATCH_SIGNATURE) -> None:
        """Takes a compiled model; the precision holds for this step only, and without effect on the original's recipe.

        ``signature`` is ``JOINT`` for batches of every task.
        """
        stock = isinstance(model, OriginalRecipe)
        self._computing = contextlib.nullcontext if stock else partial(model.encoder.computing_in, precision)
        self._step = tf.function(model.train_step, input_signature=[signature])

    def seconds(self, batches: list[Batch] | list[dict[str, Batch]]) -> float:
        """Returns the time of one step on each batch."""
        prepared = [tf.nest.map_structure(tf.constant, batch) for batch in batches]
        started = time.perf_counter()
        with self._computing():
            for batch in prepared:
                self._step(batch)["losses"].numpy()
        return time.perf_counter() - started


def batches_of(rows: list[EncodedRows], tasks: tuple[Task, ...], mode: TrainingMode, length: int) -> TrainingBatches:
    """Returns the batches of a mode."""
    orders = [
        RowOrder(len(part), DEFAULT_SEED, task.name, True, mode.batch_size, mode.group, part.lengths)
        for part, task in zip(rows, tasks)
    ]
    if mode.full_length:
        lengths = np.array([length])
    else:
        lengths = bucket_lengths(np.concatenate([part.lengths for part in rows]), BUCKETS)
    return TrainingBatches(TaskBatches(rows, orders, lengths), TaskOrder(len(tasks)))


def random_batch(rows: int, length: int, num_labels: int) -> Batch:
    """Returns a batch of one shape for the first task, without padding."""
    random = generator(DEFAULT_SEED, "benchmark batch", rows, length)
    return {
        "input_ids": random.integers(FIRST_ID, VOCABULARY_SIZE, (rows, length)).astype(np.int32),
        "input_mask": np.ones((rows, length), np.int32),
        "segment_ids": np.zeros((rows, length), np.int32),
        "label_ids": random.integers(0, num_labels, rows).astype(np.int32),
        "task_id": np.array(0, np.int32),
    }


def typical_batches(batches: TrainingBatches, per_task: int) -> list[Batch]:
    """Returns a few batches that stand for the first 100 of each task: evenly spaced among them by length."""
    chosen = []
    for task in range(len(batches.tasks.rows)):
        found = [batches.tasks.of_task(task, index) for index in range(GROUP)]
        found.sort(key=lambda batch: batch["input_ids"].shape[1])
        chosen += [found[int((place + 0.5) * GROUP / per_task)] for place in range(per_task)]
    return chosen


def work_of(rows: list[EncodedRows], tasks: tuple[Task, ...], mode: TrainingMode, length: int) -> list[Batch]:
    """Returns the batches that a mode is measured on; of batches that are all of one shape one a task will do."""
    return typical_batches(batches_of(rows, tasks, mode, length), 1 if mode.full_length else BATCHES_PER_TASK)


def real_tokens(batches: list[Batch]) -> int:
    """Returns the tokens of batches without padding."""
    return int(sum(batch["input_mask"].sum() for batch in batches))


def padded_tokens(batches: list[Batch]) -> int:
    """Returns the tokens of batches with padding."""
    return int(sum(batch["input_mask"].size for batch in batches))


@dataclass(frozen=True)
class ModeSpeed:
    """What one mode reached: a number a round.

    Attributes:
        rows_per_s: rows a second.
        tokens_per_s: tokens a second, padding not counted.
        padding: share of the computed tokens that is padding.
        tokens_per_row: computed tokens a row.
    """

    rows_per_s: list[float]
    tokens_per_s: list[float]
    padding: float
    tokens_per_row: float


def training_speeds(
    size: tuple[int, int],
    rows: list[EncodedRows],
    tasks: tuple[Task, ...],
    modes: tuple[TrainingMode, ...],
    length: int,
    rounds: int,
) -> dict[str, ModeSpeed]:
    """Measures every mode once a round, in turn.

    Args:
        size: layers and hidden size.
        rows: one per task.
        tasks: the tasks.
        modes: what to measure.
        length: tokens that ``full_length`` pads to.
        rounds: how often.
    """
    models = {original: make_model(*size, tasks, original) for original in {mode.original for mode in modes}}
    steps = {mode.name: TimedStep(models[mode.original], mode.precision) for mode in modes}
    work = {mode.name: work_of(rows, tasks, mode, length) for mode in modes}
    seconds: dict[str, list[float]] = {mode.name: [] for mode in modes}
    for name, step in steps.items():
        step.seconds(work[name])  # traces, and compiles for every shape
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(step.seconds(work[name]))
    return {name: _speed(work[name], times) for name, times in seconds.items()}


def _speed(batches: list[Batch], seconds: list[float]) -> ModeSpeed:
    rows, real, padded = sum(len(batch["label_ids"]) for batch in batches), real_tokens(batches), padded_tokens(batches)
    return ModeSpeed([rows / time for time in seconds], [real / time for time in seconds], 1 - real / padded, padded / rows)
