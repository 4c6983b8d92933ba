"""Which task a step trains, as a function of the seed and the step alone."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import generator

BLOCK = 1024
LAST_POWER = 0.2
"""``annealed`` ends with rows to this power (Stickland and Murray, "BERT and PALs", 2019)."""

Rates = Callable[[int], np.ndarray]


@dataclass
class TaskOrder:
    """The endless order of the tasks in alternating steps.

    Without ``rates`` they take turns. Else every step draws its task, with probabilities that may change from epoch to
    epoch. Draws come in blocks with a random stream each, so that a run resumes by counting them again, which takes no time.

    Attributes:
        num_tasks: K.
        rates: epoch -> how often each task is drawn, float [K], any scale; None for turns.
        steps_per_epoch: steps of such an epoch.
        seed: the run's seed.
    """

    num_tasks: int
    rates: Rates | None = None
    steps_per_epoch: int = 1
    seed: int = 0
    _drawn: list[np.ndarray] = field(default_factory=list, init=False)
    _before: list[np.ndarray] = field(default_factory=list, init=False)

    def place(self, step: int) -> tuple[int, int]:
        """Returns the task of a step, and how many of its batches came before."""
        if self.rates is None:
            return step % self.num_tasks, step // self.num_tasks
        block, place = divmod(step, BLOCK)
        while len(self._drawn) <= block:
            self._draw_block()
        tasks = self._drawn[block]
        task = int(tasks[place])
        return task, int(self._before[block][task] + np.count_nonzero(tasks[:place] == task))

    def _draw_block(self) -> None:
        block = len(self._drawn)
        numbers = generator(self.seed, "task order", block).random(BLOCK)
        steps = np.arange(block * BLOCK, (block + 1) * BLOCK)
        tasks = np.empty(BLOCK, np.int64)
        for epoch in np.unique(steps // self.steps_per_epoch):
            among = steps // self.steps_per_epoch == epoch
            shares = np.cumsum(self.rates(int(epoch)))
            # The last limit is left out: a number that rounding puts above it is the last task's too.
            tasks[among] = np.searchsorted(shares[:-1] / shares[-1], numbers[among], side="right")
        before = self._before[-1] + self._counts(self._drawn[-1]) if block else np.zeros(self.num_tasks, np.int64)
        self._drawn.append(tasks)
        self._before.append(before)

    def _counts(self, tasks: np.ndarray) -> np.ndarray:
        return np.bincount(tasks, minlength=self.num_tasks)


def sampling_rates(
    kind: str, num_rows: list[int], temperature: float, explicit: list[float] | None, num_epochs: float
) -> Rates | None:
    """Returns what ``--task_sampling`` means.

    Args:
        kind: ``round_robin`` (None: turns), ``proportional`` (rows), ``temperature`` (rows^(1 / temperature)),
            ``annealed`` (rows^a, a from 1 in the first epoch to 0.2 in the last), or ``explicit``.
        num_rows: the tasks' training rows.
        temperature: 1 or more.
        explicit: with ``explicit``, one rate a task.
        num_epochs: of the run.

    Raises:
        UserError: the explicit rates are missing, or one is not more than 0.
    """
    rows = np.array(num_rows, float)
    if kind == "round_robin":
        return None
    if kind == "explicit":
        if not explicit or not all(np.isfinite(rate) and rate > 0 for rate in explicit):
            raise UserError(f"task_rates is {explicit}: task_sampling explicit needs a number above 0 for every task.")
        return lambda epoch: np.array(explicit)
    if kind == "annealed":
        last = max(1, int(np.ceil(num_epochs)) - 1)
        return lambda epoch: rows ** (1.0 - (1.0 - LAST_POWER) * min(epoch, last) / last)
    power = 1.0 if kind == "proportional" else 1.0 / temperature
    return lambda epoch: rows**power
