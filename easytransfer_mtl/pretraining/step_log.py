"""The log of a pre-training run: progress bar, log lines, metrics.csv, and measurements on the held-out texts."""

import logging
import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import tf_keras
from tqdm import tqdm

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.measurement import HeldOut, PretrainingProgress
from easytransfer_mtl.runs.metrics_log import StepTable
from easytransfer_mtl.runs.step_plan import StepPlan

COLUMNS = ("step", "part", "loss", "perplexity", "accuracy", "learning_rate", "grad_norm", "examples_per_second")
"""``part`` is train or held_out; only the last column differs between equal runs."""


def open_metrics(folder: Path, step: int) -> StepTable:
    """Opens a run's metrics.csv for continuing after ``step``; step 0 is measured again."""
    return StepTable(folder, step or -1, COLUMNS)


class PretrainingLog(tf_keras.callbacks.Callback):
    """Writes a row per step, shows the progress, and stops training if the loss or the gradient norm is not finite."""

    def __init__(self, plan: StepPlan, metrics: StepTable, rows_per_step: int, every: int) -> None:
        """Takes the step plan, metrics.csv, rows per step, and ``log_step_count_steps``."""
        super().__init__()
        self.plan, self.metrics, self.rows_per_step, self.every = plan, metrics, rows_per_step, every

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the progress bar at the step from which training continues."""
        self.step = self.first = int(self.model.optimizer.iterations.numpy())
        self.bar = tqdm(total=self.plan.train_steps, initial=self.step, desc="pretrain", unit=" steps", disable=None)
        self.start_time = self.last_time = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Excludes the time of measuring and saving from the step's time."""
        self.last_time = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one step."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        now = time.perf_counter()
        self.step += 1
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["grad_norm"]):
            raise UserError(
                f"The loss is {logs['loss']:g} and its gradient's norm {logs['grad_norm']:g} at step {self.step}. The last "
                "checkpoint in the run's folder is from before; lower --learning_rate and train again."
            )
        rate = self.rows_per_step / (now - self.last_time)
        self.metrics.add_row({"step": self.step, "part": "train", **logs, "examples_per_second": round(rate, 1)})
        of_part = {f"{name}/train": logs[name] for name in ("loss", "accuracy")}
        self.metrics.add_scalars(self.step, {**of_part, **{name: logs[name] for name in ("learning_rate", "grad_norm")}})
        self.bar.set_postfix({"loss": f"{logs['loss']:.3f}", "rows/s": f"{rate:.0f}"}, refresh=False)
        self.bar.update()
        if self.step % self.every == 0 or self.step == self.plan.train_steps:
            left = (now - self.start_time) / (self.step - self.first) * (self.plan.train_steps - self.step)
            logging.info(
                "step %d of %d, loss = %.4f, masked accuracy = %.4f, %.1f rows/s, time left = %s",
                self.step, self.plan.train_steps, logs["loss"], logs["accuracy"], rate, timedelta(seconds=round(left)),
            )  # fmt: skip

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the bar."""
        self.bar.close()


class HeldOutLog(tf_keras.callbacks.Callback):
    """Measures at the start of a run and at every checkpoint; must precede the callback that saves."""

    def __init__(self, held_out: HeldOut, progress: PretrainingProgress, plan: StepPlan, metrics: StepTable) -> None:
        super().__init__()
        self.held_out, self.progress, self.plan, self.metrics = held_out, progress, plan, metrics

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Measures step 0."""
        if int(self.model.optimizer.iterations.numpy()) == 0:
            self._measure(0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures if a checkpoint is saved after this step."""
        step = int(self.model.optimizer.iterations.numpy())
        if self.plan.saves_after(step):
            self._measure(step)

    def _measure(self, step: int) -> None:
        measured = self.held_out.measure()
        self.progress.note(step, measured)
        values = measured.row()
        self.metrics.add_row({"step": step, "part": "held_out", **values})
        self.metrics.add_scalars(step, {f"{name}/held_out": value for name, value in values.items()})
        logging.info("step %d, held out: %s", step, measured)
