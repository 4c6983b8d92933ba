"""What evaluation chooses from: a run's checkpoints, the moving averages in them, and the mean of the last ones."""

import logging
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.averaged_weights import has_averages, restore_averages, restore_mean
from easytransfer_mtl.training.checkpoints import restore_model


@dataclass(frozen=True, order=True)
class Candidate:
    """Weights of a run. Their order is that of the tables, and of equal scores the last is the best.

    Attributes:
        step: the checkpoint's; of several the last one's.
        num_checkpoints: how many they are the mean of.
        is_ema: whether they are the checkpoint's moving averages.
    """

    step: int
    num_checkpoints: int = 1
    is_ema: bool = False

    @property
    def weights(self) -> str:
        """Returns what kind they are: ``raw``, ``ema`` or ``swa``."""
        return "swa" if self.num_checkpoints > 1 else "ema" if self.is_ema else "raw"

    @property
    def is_trained(self) -> bool:
        """Tells whether training has moved them: not those of step 0, the run's start."""
        return self.step > 0

    @property
    def label(self) -> str:
        """Returns what they are called in a sentence."""
        return str(self) if self.num_checkpoints > 1 else f"checkpoint {self}"

    def __str__(self) -> str:
        if self.num_checkpoints > 1:
            return f"swa of {self.num_checkpoints} checkpoints"
        return f"{self.step} ema" if self.is_ema else str(self.step)


def candidates_of(checkpoints: dict[int, Path], swa_checkpoints: int) -> list[Candidate]:
    """Returns what there is to score, in order.

    Step 0's averages are its weights, and it is left out of the mean, since nothing is trained there.

    Args:
        checkpoints: step -> prefix.
        swa_checkpoints: how many of the last to take the mean of; 0 for none. With fewer there, of these; of one, none.
    """
    found = [Candidate(step) for step in checkpoints]
    found += [Candidate(step, is_ema=True) for step, prefix in checkpoints.items() if step and has_averages(prefix)]
    last = [step for step in sorted(checkpoints) if step][-swa_checkpoints:] if swa_checkpoints else []
    if len(last) > 1:
        found.append(Candidate(last[-1], len(last)))
    elif swa_checkpoints:
        logging.warning("swa_checkpoints has no effect: a mean needs 2 checkpoints or more, and there is %d.", len(last))
    return sorted(found)


def load_candidate(model: MultiTaskModel, candidate: Candidate, checkpoints: dict[int, Path]) -> None:
    """Gives a model a candidate's weights.

    Raises:
        UserError: a checkpoint is damaged or does not fit.
    """
    if candidate.num_checkpoints > 1:
        steps = [step for step in sorted(checkpoints) if 0 < step <= candidate.step]
        restore_mean(model, [checkpoints[step] for step in steps[-candidate.num_checkpoints :]])
    elif candidate.is_ema:
        restore_averages(model, checkpoints[candidate.step])
    else:
        restore_model(model, checkpoints[candidate.step])
