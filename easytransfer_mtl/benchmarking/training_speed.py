"""Training: rows a second of one model on the same rows, padded in different ways."""

import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from transformers import BertConfig

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.pipeline import RowOrder, TrainingBatches
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.optimizers import make_optimizer

GROUP = 50
STEPS_PER_TASK = 4


@dataclass(frozen=True)
class PaddingMode:
    """One way to pad: to the full length or to the batch's longest row, with or without grouping rows by length."""

    name: str
    full_length: bool
    group: int


MODES = (
    PaddingMode("padded", True, 1),
    PaddingMode("trimmed", False, 1),
    PaddingMode("trimmed_grouped", False, GROUP),
)


class TrainingSpeed:
    """A BERT of a given size with the baseline's heads, AdamW, dropout and clipping."""

    def __init__(self, layers: int, hidden_size: int, vocabulary_size: int, tasks: tuple[Task, ...]) -> None:
        """Builds the model; ``build_seconds`` and ``trace_seconds`` tell what is not training."""
        started = time.perf_counter()
        config = BertConfig(
            vocab_size=vocabulary_size,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            hidden_act="gelu_new",
            num_attention_heads=hidden_size // 64,
            intermediate_size=4 * hidden_size,
        )
        self.model = MultiTaskModel(BertEncoder(config, DropoutClock(DEFAULT_SEED)), tasks)
        self.model.compile(optimizer=make_optimizer("adam", 1e-5, 0.01))
        self.model.optimizer.build(self.model.trainable_variables)
        self.build_seconds = time.perf_counter() - started
        self.trace_seconds = 0.0
        self._step = tf.function(self.model.train_step, reduce_retracing=True)

    def warm_up(self, batches: TrainingBatches) -> None:
        """Traces and runs each task's step for two lengths, so that no measured step traces."""
        started = time.perf_counter()
        for step in range(2 * len(batches.rows)):
            self._step(_tensors(batches, step))
        self.trace_seconds += time.perf_counter() - started

    def seconds(self, batches: TrainingBatches, first: int, count: int) -> float:
        """Returns the time of ``count`` steps."""
        prepared = [_tensors(batches, step) for step in range(first, first + count)]
        started = time.perf_counter()
        for batch in prepared:
            self._step(batch)["loss"].numpy()
        return time.perf_counter() - started


def _tensors(batches: TrainingBatches, step: int) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in batches.batch(step).items()}


def batches_of(
    rows: list[EncodedRows], tasks: tuple[Task, ...], mode: PaddingMode, batch_size: int, length: int
) -> TrainingBatches:
    """Returns the batches of a mode."""
    orders = [
        RowOrder(len(part), DEFAULT_SEED, task.name, True, batch_size, mode.group, part.lengths)
        for part, task in zip(rows, tasks)
    ]
    return TrainingBatches(rows, list(range(len(tasks))), orders, length if mode.full_length else None)


def training_rates(
    speed: TrainingSpeed, rows: list[EncodedRows], tasks: tuple[Task, ...], batch_size: int, length: int, rounds: int
) -> dict[str, list[float]]:
    """Measures every mode once a round, in turn.

    Args:
        speed: the model.
        rows: one per task.
        tasks: the tasks.
        batch_size: rows a step.
        length: tokens that ``padded`` pads to.
        rounds: how often.

    Returns:
        Mode name -> rows a second, a number a round.
    """
    kinds = {mode.name: batches_of(rows, tasks, mode, batch_size, length) for mode in MODES}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for batches in kinds.values():
        speed.warm_up(batches)
    count = STEPS_PER_TASK * len(tasks)
    for turn in range(1, rounds + 1):
        for name, batches in kinds.items():
            rates[name].append(batch_size * count / speed.seconds(batches, turn * count, count))
    return rates


def tokens_per_row(
    rows: list[EncodedRows], tasks: tuple[Task, ...], mode: PaddingMode, batch_size: int, length: int
) -> float:
    """Returns the mean padded length of a mode over many batches: the arithmetic behind its rate."""
    batches = batches_of(rows, tasks, mode, batch_size, length)
    return float(np.mean([batches.batch(step)["input_ids"].shape[1] for step in range(300 * len(tasks))]))
