"""The log of a run, step by step: EasyTransfer's lines, a progress bar, metrics, and the alarm on what is no number."""

import logging
import math
import time
from datetime import timedelta
from typing import Any

import numpy as np
import tf_keras
from tqdm import tqdm

from easytransfer_mtl.runs.checkpoints import Progress
from easytransfer_mtl.runs.metrics_log import MetricsLog
from easytransfer_mtl.training.bad_steps import BadSteps
from easytransfer_mtl.training.gradient_probe import GradientProbe, cosines, shares
from easytransfer_mtl.training.preparation import Prepared
from easytransfer_mtl.training.stuck_losses import StuckLosses

LOSS_EVERY = 100
AVERAGE_DECAY = 0.99


class StepLog(tf_keras.callbacks.Callback):
    """Prints EasyTransfer's log lines and a progress bar, writes metrics, and stops on a loss that is not a number."""

    def __init__(
        self, prepared: Prepared, progress: Progress, metrics: MetricsLog, every: int, gradients_every: int
    ) -> None:
        """Takes the run's parts, ``log_step_count_steps`` and ``log_gradients_every``."""
        super().__init__()
        self.names = [task.name for task in prepared.tasks]
        self.plan, self.progress, self.metrics, self.every = prepared.plan, progress, metrics, every
        self.bad_steps = BadSteps(prepared.batches.copy(), {item.task.name: item.file.path for item in prepared.train})
        self.stuck = StuckLosses(prepared.tasks, prepared.plan, prepared.loss.focal_gamma)
        self.probe = GradientProbe(prepared.batches.tasks.copy(), gradients_every)
        self.rows_per_step = prepared.batches.rows_per_step
        self.losses: dict[str, float] = {}
        self.local_step = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the bar at the step that training goes on from."""
        self.step = int(self.model.optimizer.iterations.numpy())
        self.bar = tqdm(total=self.plan.train_steps, initial=self.step, desc="train", unit=" steps", disable=None)
        self.start_time = self.last_time = self.hundred_time = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one step."""
        now = time.perf_counter()
        logs = logs or {}
        self.step += 1
        losses, weights, active = (np.asarray(logs[name]) for name in ("losses", "weights", "active"))
        self.bad_steps.check(self.step, losses, active, logs)
        rate = self.rows_per_step / (now - self.last_time)
        self._write_rows(losses, weights, active, logs, rate)
        trained = {name: float(loss) for name, loss, trains in zip(self.names, losses, active) if trains}
        self.losses |= trained
        loss = sum(trained.values()) / len(trained)
        if math.isfinite(loss):
            self._average(loss)
            self.stuck.see(self.step, trained)
        self.bar.set_postfix(
            {name: f"{value:.3f}" for name, value in self.losses.items()} | {"rows/s": f"{rate:.0f}"}, refresh=False
        )
        self.bar.update()
        self._print_lines(loss, _tasks_text(trained), now)
        self.local_step += 1
        self.last_time = now

    def _write_rows(
        self, losses: np.ndarray, weights: np.ndarray, active: np.ndarray, logs: dict[str, Any], rate: float
    ) -> None:
        """Writes a row for each task that has a loss: those that the step trained, and all where gradients are measured."""
        gram = logs.get("gram")
        if gram is None and self.probe.due(self.step):
            others, gram = self.probe.measure(self.model, self.step)
            losses = np.where(active, losses, others)
            active = np.ones_like(active)
        common = {name: float(logs[name]) for name in self.metrics.of_step}
        if gram is not None:
            share, cosine = shares(gram, weights), cosines(gram)
        for index in np.flatnonzero(active):
            row = {"step": self.step, "task": self.names[index], "loss": float(losses[index])}
            row |= {"weight": float(weights[index]), **common, "examples_per_second": round(rate, 1)}
            if gram is not None:
                row["grad_share"] = float(share[index])
                row |= {f"cos_{name}": float(cosine[index, other]) for other, name in enumerate(self.names)}
            self.metrics.add(row)

    def _average(self, loss: float) -> None:
        """EasyTransfer's moving average over all tasks' losses, started at the first loss."""
        before = float(self.progress.avg_loss)
        self.progress.avg_loss.assign(loss if self.step == 1 else AVERAGE_DECAY * before + (1.0 - AVERAGE_DECAY) * loss)

    def _print_lines(self, loss: float, tasks: str, now: float) -> None:
        """Prints EasyTransfer's lines, and behind a loss whose it is."""
        if self.local_step == 0:
            logging.info("loss = %.8g, step = %d, %s", loss, self.step, tasks)
        elif self.local_step % LOSS_EVERY == 0:
            seconds = now - self.hundred_time
            logging.info("global_step/sec: %.6g", LOSS_EVERY / seconds)
            logging.info("loss = %.8g, step = %d (%.3f sec), %s", loss, self.step, seconds, tasks)
            self.hundred_time = now
        if self.local_step % self.every == 0:
            average = float(self.progress.avg_loss)
            left = (now - self.start_time) / (self.local_step + 1) * (self.plan.train_steps - self.step)
            share = 100.0 * (self.step - 1) / self.plan.train_steps
            logging.info("progress = %.2f%%, avg_loss = %.6f, time left = %s", share, average, _clock(left))
            self.metrics.add_average(self.step, average)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the bar."""
        self.bar.close()
        self.bad_steps.report()


def _tasks_text(losses: dict[str, float]) -> str:
    """Returns whose loss a step's is: one task's, or the mean of several, each with its own."""
    if len(losses) == 1:
        return f"task = {next(iter(losses))}"
    return f"tasks = {', '.join(f'{name} {loss:.6g}' for name, loss in losses.items())}"


def _clock(seconds: float) -> str:
    """Returns hours, minutes and seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))
