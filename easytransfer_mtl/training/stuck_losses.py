"""Finds tasks that are not being learned."""

import logging
import math
from collections import deque

from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.tasks import Task

CHECK_AFTER = 0.1
WINDOW, FEWEST = 50, 5
LEARNED = 0.97


class StuckLosses:
    """Warns once if a task's loss still is that of guessing when the warm-up has been over for a tenth of the steps."""

    def __init__(self, tasks: tuple[Task, ...], plan: StepPlan, focal_gamma: dict[str, float]) -> None:
        """Takes the tasks, the run's length, and the tasks' focal powers, which make the loss of guessing smaller."""
        self.warmup_steps = plan.warmup_steps
        self.check_at = self.warmup_steps + math.ceil(CHECK_AFTER * plan.train_steps)
        self.guessing = {
            task.name: math.log(task.num_labels) * (1.0 - 1.0 / task.num_labels) ** focal_gamma.get(task.name, 0.0)
            for task in tasks
        }
        self._seen: dict[str, deque[float]] = {task.name: deque(maxlen=WINDOW) for task in tasks}

    def see(self, step: int, losses: dict[str, float]) -> None:
        """Takes the losses of a step's tasks; logs when it is time."""
        if step <= self.warmup_steps:  # so small a rate says nothing
            return
        for name in losses.keys() & self._seen.keys():
            seen = self._seen[name]
            seen.append(losses[name])
            if step >= self.check_at and len(seen) >= FEWEST:
                del self._seen[name]
                self._judge(name, step, sum(seen) / len(seen))

    def _judge(self, name: str, step: int, mean: float) -> None:
        if mean > LEARNED * self.guessing[name]:
            logging.warning(
                "%s is not learned: after %d steps its loss is %.3f, guessing gives %.3f. Likely: the learning rate is too "
                "small or too large, its weight or sampling rate is near 0, its labels do not belong to its texts, or the "
                "encoder's weights are not what they should be.",
                name, step, mean, self.guessing[name],
            )  # fmt: skip
