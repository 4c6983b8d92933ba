"""Training batches: rows are reshuffled every epoch, and every batch is a function of its step number.

Because a batch depends only on the seed and the step, a run resumes without a stored position.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from easytransfer_mtl.data.encoded_rows import Batch, EncodedRows
from easytransfer_mtl.data.length_buckets import bucket_count, bucket_lengths
from easytransfer_mtl.data.task_order import TaskOrder
from easytransfer_mtl.seeding import generator

EVALUATION_LENGTHS, BATCHES_PER_LENGTH = 32, 4
"""Most lengths of evaluation batches, and batches per length: each length has to be compiled."""


@dataclass
class RowOrder:
    """The endless order in which one task's rows are drawn.

    The rows form a stream of epochs, each a new permutation. A batch may reach from one epoch into the next, as in
    EasyTransfer, so batches are always full.

    Attributes:
        num_rows: rows of the task.
        seed: the run's seed.
        name: the task's name; part of the random stream's name.
        shuffle: False keeps the file's order in every epoch.
        batch_size: rows per batch.
        group: if more than 1, the rows of this many consecutive batches are sorted by length and their batches are drawn in
            random order, so that the rows of a batch have similar lengths.
        lengths: the rows' lengths, needed for grouping.
    """

    num_rows: int
    seed: int
    name: str
    shuffle: bool
    batch_size: int
    group: int = 1
    lengths: np.ndarray | None = None
    _epochs: dict[int, np.ndarray] = field(default_factory=dict, init=False)
    _windows: dict[int, np.ndarray] = field(default_factory=dict, init=False)

    def batch_rows(self, index: int) -> np.ndarray:
        """Returns the row numbers of batch ``index``, int64 [batch_size]."""
        if self.group <= 1:
            return self._stream(index * self.batch_size, self.batch_size)
        window, place = divmod(index, self.group)
        if window not in self._windows:
            self._windows = {window: self._grouped(window)}
        return self._windows[window][place]

    def _grouped(self, window: int) -> np.ndarray:
        size = self.group * self.batch_size
        rows = self._stream(window * size, size)
        assert self.lengths is not None
        order = np.argsort(self.lengths[rows], kind="stable")
        batches = rows[order].reshape(self.group, self.batch_size)
        return generator(self.seed, "batch order", self.name, window).permutation(batches)

    def _stream(self, start: int, count: int) -> np.ndarray:
        parts = []
        while count:
            epoch, place = divmod(start, self.num_rows)
            part = self._epoch(epoch)[place : place + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.num_rows)
        if epoch not in self._epochs:
            while len(self._epochs) >= 2:
                self._epochs.pop(min(self._epochs))
            self._epochs[epoch] = generator(self.seed, "row order", self.name, epoch).permutation(self.num_rows)
        return self._epochs[epoch]


@dataclass
class TaskBatches:
    """The endless batches of K tasks.

    Attributes:
        rows: one ``EncodedRows`` per task, in the model's order.
        orders: one ``RowOrder`` per task, in the same order; its name is the task's.
        padded_lengths: ascending lengths that batches may have; None pads each batch to its longest row.
    """

    rows: list[EncodedRows]
    orders: list[RowOrder]
    padded_lengths: np.ndarray | None = None

    @property
    def has_teacher(self) -> bool:
        """Whether the rows have a teacher's probabilities."""
        return any(rows.teacher is not None for rows in self.rows)

    def of_task(self, task: int, index: int) -> Batch:
        """Returns a task's batch ``index``: ``EncodedRows.batch`` plus task_id (int32 [])."""
        batch = self.rows[task].batch(self.orders[task].batch_rows(index), self.padded_lengths)
        return {**batch, "task_id": np.array(task, np.int32)}

    def of_all(self, index: int) -> dict[str, Batch]:
        """Returns task name -> batch ``index`` of that task."""
        return {order.name: self.of_task(task, index) for task, order in enumerate(self.orders)}

    def copy(self) -> "TaskBatches":
        """Returns the same batches with their own caches, for another thread or another position in the order."""
        return replace(self, orders=[replace(order) for order in self.orders])


@dataclass
class TrainingBatches:
    """The batches of training steps: one task's batch per step, or in joint steps one batch of every task.

    Attributes:
        tasks: the tasks' batches.
        order: which task each step trains; None for joint steps.
    """

    tasks: TaskBatches
    order: TaskOrder | None

    @property
    def rows_per_step(self) -> int:
        """Number of rows per step, of all its tasks."""
        sizes = [order.batch_size for order in self.tasks.orders]
        return sum(sizes) if self.order is None else sizes[0]

    def batch(self, step: int) -> Batch | dict[str, Batch]:
        """Returns the batch of a step; in joint steps, task name -> batch."""
        return self.tasks.of_all(step) if self.order is None else self.tasks.of_task(*self.order.place(step))

    def rows_of(self, step: int) -> dict[str, np.ndarray]:
        """Returns task name -> numbers, from 0, of the rows that a step trains on."""
        orders = self.tasks.orders
        places = [(task, step) for task in range(len(orders))] if self.order is None else [self.order.place(step)]
        return {orders[task].name: orders[task].batch_rows(index) for task, index in places}

    def copy(self) -> "TrainingBatches":
        """Returns the same batches with their own caches, for another thread or another position in the order."""
        return TrainingBatches(self.tasks.copy(), self.order and replace(self.order))

    def steps(self, start: int, stop: int) -> Iterator[Batch | dict[str, Batch]]:
        """Yields the batches of the steps ``start`` to ``stop`` - 1."""
        for step in range(start, stop):
            yield self.batch(step)


def evaluation_batches(rows: EncodedRows, batch_size: int) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yields (row numbers [B], batch) until all rows are covered; batches have one size and few lengths, longest rows first.

    The order of rows is free in evaluation, since results are put back by row number. The last batch is filled up with
    copies of its last row.
    """
    if not len(rows):
        return
    batch_size = min(batch_size, len(rows))
    num_batches = -(-len(rows) // batch_size)
    padded_lengths = bucket_lengths(rows.lengths, bucket_count(EVALUATION_LENGTHS, num_batches, BATCHES_PER_LENGTH))
    order = np.argsort(-rows.lengths, kind="stable")
    order = np.concatenate([order, np.repeat(order[-1:], -len(rows) % batch_size)])
    for numbers in order.reshape(-1, batch_size):
        yield numbers, rows.batch(numbers, padded_lengths)
