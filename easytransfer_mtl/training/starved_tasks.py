"""Watches for tasks that a loss weighting has stopped training."""

import logging
import math

import numpy as np

from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.weighting import TaskWeighting

SHARE, LASTS, FEWEST = 0.01, 0.1, 10


class StarvedTasks:
    """Warns once per task if its weight stays below a hundredth of its share for a tenth of the run's steps.

    A task's share is the mean of all weights. The steps are counted from the start of the process: a run that goes on after
    a stop counts anew. Weights that the user sets are not judged.
    """

    def __init__(self, names: list[str], plan: StepPlan, weighting: TaskWeighting) -> None:
        """Takes the tasks' names, the run's steps and its weighting."""
        self.names, self.weighting = names, weighting
        self.lasts = max(FEWEST, math.ceil(LASTS * plan.train_steps))
        self.steps = np.zeros(len(names), int)
        """For each task, how many steps in a row its weight has been too small."""

    def see(self, step: int, weights: np.ndarray, losses: dict[str, float]) -> None:
        """Records a step's weights [K] and the last loss of each task; warns when a task has starved for long enough."""
        cure = self.weighting.starving_cure
        if cure is None:
            return
        sizes = np.abs(weights)
        self.steps = np.where(sizes < SHARE * sizes.mean(), self.steps + 1, 0)
        for task in np.flatnonzero(self.steps == self.lasts):
            most = int(np.argmax(sizes))
            logging.warning(
                "%s starves: for the last %d steps, up to step %d, loss_weighting %s gave it less than a hundredth of its "
                "share. Its weight is %.2g, that of %s %.3g (losses: %s). To cure it, %s.",
                self.names[task], self.lasts, step, self.weighting.name, weights[task], self.names[most], weights[most],
                ", ".join(f"{name} {losses[name]:.3g}" for name in self.names if name in losses), cure,
            )  # fmt: skip
