"""What happens around a train step: logging, checkpoints, and stopping on a signal."""

import logging
import math
import signal
import time
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any

import tf_keras
from tqdm import tqdm

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.checkpoints import Progress, RunCheckpoints
from easytransfer_mtl.training.metrics_log import MetricsLog
from easytransfer_mtl.training.step_plan import StepPlan

LOSS_EVERY = 100
AVERAGE_DECAY = 0.99


class StepLog(tf_keras.callbacks.Callback):
    """Prints EasyTransfer's log lines and a progress bar, writes metrics, and stops on a loss that is not a number."""

    def __init__(
        self,
        tasks: tuple[Task, ...],
        plan: StepPlan,
        progress: Progress,
        metrics: MetricsLog,
        rows_per_step: int,
        every: int,
    ) -> None:
        """Takes the run's parts and ``log_step_count_steps``."""
        super().__init__()
        self.tasks, self.plan, self.progress, self.metrics = tasks, plan, progress, metrics
        self.rows_per_step, self.every = rows_per_step, every
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
        task, loss = self.tasks[int(logs["task_id"])].name, float(logs["loss"])
        self.step += 1
        if not math.isfinite(loss):
            raise UserError(
                f"The loss of {task} is {loss} at step {self.step}. The last checkpoint in the run's folder is from before; "
                "lower the learning rate or look at the rows of this batch, and train again."
            )
        self._average(loss)
        row = {name: float(logs[name]) for name in ("loss", "weight", "learning_rate", "grad_norm")}
        rate = self.rows_per_step / (now - self.last_time)
        self.metrics.add({"step": self.step, "task": task, **row, "examples_per_second": round(rate, 1)})
        self.last_time = now
        self.losses[task] = loss
        self.bar.set_postfix(
            {name: f"{value:.3f}" for name, value in self.losses.items()} | {"rows/s": f"{rate:.0f}"}, refresh=False
        )
        self.bar.update()
        self._print_lines(loss, now)
        self.local_step += 1

    def _average(self, loss: float) -> None:
        """EasyTransfer's moving average over all tasks' losses, started at the first loss."""
        before = float(self.progress.avg_loss)
        self.progress.avg_loss.assign(loss if self.step == 1 else AVERAGE_DECAY * before + (1.0 - AVERAGE_DECAY) * loss)

    def _print_lines(self, loss: float, now: float) -> None:
        if self.local_step == 0:
            logging.info("loss = %.8g, step = %d", loss, self.step)
        elif self.local_step % LOSS_EVERY == 0:
            seconds = now - self.hundred_time
            logging.info("global_step/sec: %.6g", LOSS_EVERY / seconds)
            logging.info("loss = %.8g, step = %d (%.3f sec)", loss, self.step, seconds)
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


def _clock(seconds: float) -> str:
    """Returns hours, minutes and seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


class SaveCheckpoints(tf_keras.callbacks.Callback):
    """Saves at the start, every ``save_steps`` steps and at the end, as EasyTransfer did."""

    def __init__(self, checkpoints: RunCheckpoints, metrics: MetricsLog, plan: StepPlan) -> None:
        super().__init__()
        self.checkpoints, self.metrics, self.plan = checkpoints, metrics, plan

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Saves step 0."""
        if int(self.model.optimizer.iterations.numpy()) == 0:
            self.checkpoints.save(0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves when it is time."""
        step = int(self.model.optimizer.iterations.numpy())
        due = self.plan.save_steps and step % self.plan.save_steps == 0
        if due or step == self.plan.train_steps:
            self.metrics.flush()
            self.checkpoints.save(step)


class StopOnSignal(tf_keras.callbacks.Callback):
    """On SIGINT or SIGTERM: lets the step end, saves it apart, and ends training. A second SIGINT ends at once.

    A context manager that gives the signals back, however training ends.
    """

    def __init__(self, checkpoints: RunCheckpoints, metrics: MetricsLog) -> None:
        super().__init__()
        self.checkpoints, self.metrics = checkpoints, metrics
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the signals over."""
        self._before = {number: signal.signal(number, self._remember) for number in (signal.SIGINT, signal.SIGTERM)}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves and stops if a signal came during the step."""
        if self.received is None:
            return
        self.model.stop_training = True
        self.metrics.flush()
        self.checkpoints.save_interrupted(int(self.model.optimizer.iterations.numpy()))

    def __enter__(self) -> "StopOnSignal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
