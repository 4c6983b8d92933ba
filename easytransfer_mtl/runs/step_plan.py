"""EasyTransfer's arithmetic of steps."""

from dataclasses import dataclass

from easytransfer_mtl.config.limits import MOST_STEPS
from easytransfer_mtl.errors import UserError


@dataclass(frozen=True)
class StepPlan:
    """How long training is and when it saves.

    Attributes:
        train_steps: optimizer steps in all, floor(N * epochs / G) + 1.
        save_steps: steps between checkpoints, floor(N / G) unless set; 0 means only at the start and the end.
        warmup_steps: floor(train_steps * warmup_ratio).
    """

    train_steps: int
    save_steps: int
    warmup_steps: int

    def saves_after(self, step: int) -> bool:
        """Tells whether there is a checkpoint after so many steps, the start's apart."""
        return step == self.train_steps or bool(self.save_steps and step % self.save_steps == 0)


def plan_steps(
    num_rows: int, num_epochs: float, global_batch_size: int, warmup_ratio: float, save_steps: int | None = None
) -> StepPlan:
    """Computes the plan of a run.

    An "epoch" is N / G steps shared equally among the tasks, whatever their sizes.

    Args:
        num_rows: N, training rows of all tasks together.
        num_epochs: may be a fraction.
        global_batch_size: G, rows that one optimizer step sees.
        warmup_ratio: share of the steps with rising rate.
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
