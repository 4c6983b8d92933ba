"""EasyTransfer's computation of the numbers of steps."""

from dataclasses import dataclass

from easytransfer_mtl.config.sections import MOST_STEPS
from easytransfer_mtl.errors import UserError


@dataclass(frozen=True)
class StepPlan:
    """The number of training steps, and when checkpoints are saved.

    Attributes:
        train_steps: optimizer steps in total, floor(N * epochs / G) + 1.
        save_steps: steps between checkpoints, by default floor(N / G); 0 saves only at the start and the end.
        warmup_steps: floor(train_steps * warmup_ratio).
    """

    train_steps: int
    save_steps: int
    warmup_steps: int

    def saves_after(self, step: int) -> bool:
        """Returns whether a checkpoint is saved after ``step`` steps; the one at the start is not included."""
        return step == self.train_steps or bool(self.save_steps and step % self.save_steps == 0)


def plan_steps(
    num_rows: int, num_epochs: float, global_batch_size: int, warmup_ratio: float, save_steps: int | None = None
) -> StepPlan:
    """Computes the plan of a run.

    An "epoch" is N / G steps, shared equally among the tasks, whatever their sizes.

    Args:
        num_rows: N, training rows of all tasks.
        num_epochs: may be a fraction.
        global_batch_size: G, rows per optimizer step.
        warmup_ratio: share of the steps that are warm-up.
        save_steps: None for once per epoch.

    Raises:
        UserError: there are more than ``MOST_STEPS`` steps.
    """
    train_steps = int(num_rows * num_epochs / global_batch_size) + 1
    if train_steps > MOST_STEPS:
        raise UserError(
            f"num_epochs {num_epochs} of {num_rows:,} rows is {train_steps:,} steps; at most {MOST_STEPS:,} are allowed. "
            "Lower --num_epochs."
        )
    every = num_rows // global_batch_size if save_steps is None else save_steps
    return StepPlan(train_steps, every, int(train_steps * warmup_ratio))
