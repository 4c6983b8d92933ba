"""Which task each step trains, as a function of the seed and the step only."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import BatchSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.own_code import own_class
from easytransfer_mtl.seeding import generator

BLOCK = 1024
LAST_POWER = 0.2
"""Power of the number of rows in the last epoch of ``annealed``."""

Rates = Callable[[int], np.ndarray]


@dataclass
class TaskOrder:
    """The endless order of the tasks in alternating steps.

    Without ``rates`` the tasks take turns. Otherwise every step draws its task with probabilities that may change from epoch
    to epoch. Draws are made in blocks, each with its own random stream, so that a run resumes by repeating and counting
    them, which takes no time.

    Attributes:
        num_tasks: K.
        rates: epoch -> relative rate at which each task is drawn, float [K], any scale; None for turns.
        steps_per_epoch: steps of an epoch of ``rates``.
        seed: the run's seed.
    """

    num_tasks: int
    rates: Rates | None = None
    steps_per_epoch: int = 1
    seed: int = 0
    _drawn: list[np.ndarray] = field(default_factory=list, init=False)
    _before: list[np.ndarray] = field(default_factory=list, init=False)

    def place(self, step: int) -> tuple[int, int]:
        """Returns the task of a step, and the number of the task's earlier batches."""
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
            assert self.rates is not None
            shares = np.cumsum(self.rates(int(epoch)))
            # The last bound is left out: a number that is above it by rounding belongs to the last task too.
            tasks[among] = np.searchsorted(shares[:-1] / shares[-1], numbers[among], side="right")
        before = self._before[-1] + self._counts(self._drawn[-1]) if block else np.zeros(self.num_tasks, np.int64)
        self._drawn.append(tasks)
        self._before.append(before)

    def _counts(self, tasks: np.ndarray) -> np.ndarray:
        return np.bincount(tasks, minlength=self.num_tasks)


class TaskSampling:
    """Base class of the sampling schemes: how often each task is drawn.

    Attributes:
        settings: the run's batch settings, including the options that a user's own class declares.
        task_names: the tasks.
        num_rows: training rows of each task, float [K].
        num_epochs: epochs of the run.
    """

    takes_turns = False

    def __init__(self, settings: BatchSettings, task_names: list[str], num_rows: list[int], num_epochs: float) -> None:
        self.settings, self.task_names, self.num_epochs = settings, task_names, num_epochs
        self.num_rows = np.array(num_rows, float)

    def rates(self, epoch: int) -> np.ndarray:
        """Returns the relative rate at which each task is drawn in an epoch, counted from 0, float [K], any scale."""
        raise NotImplementedError


class RoundRobin(TaskSampling):
    """The tasks take turns, as in EasyTransfer."""

    takes_turns = True


class Proportional(TaskSampling):
    """Tasks are drawn in proportion to their numbers of rows."""

    def rates(self, epoch: int) -> np.ndarray:
        """Returns the numbers of rows."""
        return self.num_rows**1.0


class Temperature(TaskSampling):
    """Tasks are drawn in proportion to rows^(1 / sampling_temperature)."""

    def rates(self, epoch: int) -> np.ndarray:
        """Returns rows^(1 / sampling_temperature)."""
        return self.num_rows ** (1.0 / self.settings.sampling_temperature)


class Annealed(TaskSampling):
    """Tasks are drawn in proportion to rows^a; a falls from 1 in the first epoch to 0.2 in the last.

    Source: Stickland and Murray, "BERT and PALs", 2019.
    """

    def rates(self, epoch: int) -> np.ndarray:
        """Returns rows^a for an epoch."""
        last = max(1, int(np.ceil(self.num_epochs)) - 1)
        return self.num_rows ** (1.0 - (1.0 - LAST_POWER) * min(epoch, last) / last)


class Explicit(TaskSampling):
    """Tasks are drawn with the rates in ``task_rates``."""

    def __init__(self, settings: BatchSettings, task_names: list[str], num_rows: list[int], num_epochs: float) -> None:
        """Parses the rates.

        Raises:
            UserError: rates are missing, or one is not above 0.
        """
        super().__init__(settings, task_names, num_rows, num_epochs)
        found = list(by_task(settings, "task_rates", task_names).values())
        if not all(rate > 0 for rate in found):
            raise UserError(f"task_rates is {found}: task_sampling explicit needs a number above 0 for every task.")
        self._rates = np.array(found)

    def rates(self, epoch: int) -> np.ndarray:
        """Returns the given rates."""
        return self._rates


SAMPLINGS: dict[str, type[TaskSampling]] = {
    "round_robin": RoundRobin,
    "proportional": Proportional,
    "temperature": Temperature,
    "annealed": Annealed,
    "explicit": Explicit,
}


def make_task_order(
    settings: BatchSettings, task_names: list[str], num_rows: list[int], num_epochs: float, steps_per_epoch: int, seed: int
) -> TaskOrder:
    """Returns the order of tasks in alternating steps, as ``task_sampling`` selects it.

    Raises:
        UserError: an option is invalid, or a user's own class returns invalid rates.
    """
    name = settings.task_sampling
    kind = SAMPLINGS.get(name) or own_class(name, TaskSampling, "task_sampling")
    sampling = kind(settings, task_names, num_rows, num_epochs)
    if sampling.takes_turns:
        return TaskOrder(len(task_names), None, steps_per_epoch, seed)
    first = np.asarray(sampling.rates(0), float)
    if first.shape != (len(task_names),) or not np.isfinite(first).all() or first.min() < 0 or not first.any():
        raise UserError(
            f"task_sampling {name}: the rates of the first epoch are {first.tolist()}; there must be a number, 0 or more, "
            f"for each of {', '.join(task_names)}, and not only 0."
        )
    return TaskOrder(len(task_names), sampling.rates, steps_per_epoch, seed)
