"""EasyTransfer's arithmetic of steps."""

from dataclasses import dataclass


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
        """Whether there is a checkpoint of ``step``, counted after its update."""
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
    """
    train_steps = int(num_rows * num_epochs / global_batch_size) + 1
    every = num_rows // global_batch_size if save_steps is None else save_steps
    return StepPlan(train_steps, every, int(train_steps * warmup_ratio))
