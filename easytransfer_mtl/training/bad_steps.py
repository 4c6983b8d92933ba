"""Steps whose loss or gradient is no number: an error that names the rows, or a count of those left out."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.data.pipeline import TrainingBatches
from easytransfer_mtl.errors import UserError


class BadSteps:
    """Looks at every step's losses and gradient norm."""

    def __init__(self, batches: TrainingBatches, files: dict[str, Path]) -> None:
        """Takes the run's batches and each task's training file."""
        self.batches, self.files = batches, files
        self.skipped = 0

    def check(self, step: int, losses: np.ndarray, active: np.ndarray, logs: dict[str, Any]) -> None:
        """Looks at one step, counted after its update.

        Raises:
            UserError: something is not finite, and the step was done all the same.
        """
        norm = float(logs["grad_norm"])
        bad = active & ~np.isfinite(losses)
        if not bad.any() and math.isfinite(norm):
            return
        what = "loss" if bad.any() else "gradient"
        if not bad.any() and "gram" in logs:
            bad = ~np.isfinite(np.diag(logs["gram"]))
        places = np.flatnonzero(bad if bad.any() else active)
        rows = self.batches.rows_of(step - 1)
        names = [list(self.files)[place] for place in places]
        value = losses[places[0]] if what == "loss" else norm
        where = "; ".join(f"rows {self._text(rows[name])} of {self.files[name]}" for name in names)
        found = f"The {what} of {' and '.join(names)} is {value:g} at step {step} ({where}, the first row being 1)."
        if bool(logs["skipped"]):
            self.skipped += 1
            logging.warning("%s The step is left out; %d so far.", found, self.skipped)
            return
        raise UserError(
            f"{found} The last checkpoint in the run's folder is from before; lower the learning rate or look at these "
            "rows, and train again, or set --on_nonfinite=skip."
        )

    def report(self) -> None:
        """Tells at the end how many steps were left out."""
        if self.skipped:
            logging.warning("%d steps were left out because a loss or gradient was not finite.", self.skipped)

    def _text(self, rows: np.ndarray) -> str:
        return ", ".join(str(row + 1) for row in sorted(rows.tolist()))
