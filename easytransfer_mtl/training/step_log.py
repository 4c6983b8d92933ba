"""Log of a training, step by step: EasyTransfer's lines, a progress bar, metrics, gradient measurements, and checks for
losses that are not finite or do not fall."""

import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from easytransfer_mtl.data.pipeline import TaskBatches, TrainingBatches
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.runs.checkpoints import Progress
from easytransfer_mtl.runs.metrics_log import MetricsLog
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.tasks import CLASSIFY, Task
from easytransfer_mtl.training.preparation import Prepared
from easytransfer_mtl.training.starved_tasks import StarvedTasks
from easytransfer_mtl.training.step import TrainStep
from easytransfer_mtl.weighting.gram import norms_of

LOSS_EVERY = 100
AVERAGE_DECAY = 0.99
CHECK_AFTER = 0.1
WINDOW, FEWEST = 50, 5
LEARNED = 0.97


class StepLog(tf_keras.callbacks.Callback):
    """Logs EasyTransfer's lines, shows a progress bar, writes metrics, and raises UserError if a loss is not finite."""

    def __init__(
        self,
        prepared: Prepared,
        step: TrainStep,
        progress: Progress,
        metrics: MetricsLog,
        every: int,
        gradients_every: int,
    ) -> None:
        """Takes the run's parts, ``log_step_count_steps`` as ``every``, and ``log_gradients_every``."""
        super().__init__()
        steps = prepared.plan.steps
        self.names = [task.name for task in prepared.tasks]
        self.plan, self.progress, self.metrics, self.every = steps, progress, metrics, every
        parts: dict[str, list[tuple[Path, int]]] = {}
        for item in (*prepared.train, *prepared.unlabelled):
            parts.setdefault(item.task.name, []).append((item.file.path, len(item.rows)))
        self.bad_steps = BadSteps(prepared.batches.copy(), parts)
        focal = {name: loss.focal_gamma for name, loss in prepared.losses.items()}
        self.stuck = StuckLosses(prepared.tasks, steps, focal)
        self.starved = StarvedTasks(self.names, steps, step.weighting)
        self.probe = GradientProbe(step, prepared.batches.tasks.copy(), gradients_every)
        self.rows_per_step = prepared.batches.rows_per_step
        self.losses: dict[str, float] = {}
        self.local_step = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the progress bar at the current step."""
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
            self.starved.see(self.step, weights, self.losses)
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
        """Writes a metrics row for each task of the step's batches, or for all tasks if gradients are measured."""
        gram = logs.get("gram")
        if gram is None and self.probe.due(self.step):
            others, gram = self.probe.measure(self.step)
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
        """Updates EasyTransfer's moving average over all tasks' losses, which starts at the first loss."""
        before = float(self.progress.avg_loss)
        self.progress.avg_loss.assign(loss if self.step == 1 else AVERAGE_DECAY * before + (1.0 - AVERAGE_DECAY) * loss)

    def _print_lines(self, loss: float, tasks: str, now: float) -> None:
        """Logs EasyTransfer's lines, extended by the tasks of each loss."""
        if self.local_step == 0:
            logging.info("loss = %.8g, step = %d, %s", loss, self.step, tasks)
        elif self.local_step % LOSS_EVERY == 0:
            seconds = now - self.hundred_time
            logging.info("global_step/sec: %.6g", LOSS_EVERY / seconds)
            speed = LOSS_EVERY * self.rows_per_step / seconds
            logging.info("loss = %.8g, step = %d (%.3f sec, %.0f rows/s), %s", loss, self.step, seconds, speed, tasks)
            self.hundred_time = now
        if self.local_step % self.every == 0:
            average = float(self.progress.avg_loss)
            left = (now - self.start_time) / (self.local_step + 1) * (self.plan.train_steps - self.step)
            share = 100.0 * (self.step - 1) / self.plan.train_steps
            logging.info("progress = %.2f%%, avg_loss = %.6f, time left = %s", share, average, _clock(left))
            self.metrics.add_average(self.step, average)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the progress bar, and reports skipped steps."""
        self.bar.close()
        self.bad_steps.report()


def _tasks_text(losses: dict[str, float]) -> str:
    """Returns the name of the step's task, or, with several tasks, their names and losses."""
    if len(losses) == 1:
        return f"task = {next(iter(losses))}"
    return f"tasks = {', '.join(f'{name} {loss:.6g}' for name, loss in losses.items())}"


def _clock(seconds: float) -> str:
    """Returns hours, minutes and seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


class BadSteps:
    """Checks every step's losses and gradient norm."""

    def __init__(self, batches: TrainingBatches, files: dict[str, list[tuple[Path, int]]]) -> None:
        """Takes the run's batches, and each task's training files with their numbers of rows, in the order of the rows."""
        self.batches, self.files = batches, files
        self.skipped = 0

    def check(self, step: int, losses: np.ndarray, active: np.ndarray, logs: dict[str, Any]) -> None:
        """Checks one step; warns if the step was skipped.

        Args:
            step: its number, counted from 1.
            losses: float [K].
            active: bool [K], tasks with a batch.
            logs: value of the train step.

        Raises:
            UserError: a loss or the gradient norm is not finite, and the step was not skipped.
        """
        norm = float(logs["grad_norm"])
        bad = active & ~np.isfinite(losses)
        if not bad.any() and math.isfinite(norm):
            return
        if logs.get("overflowed"):
            scale = float(logs["loss_scale"])
            logging.info("Step %d is left out: gradients overflowed float16. The loss scale is now %g.", step, scale)
            return
        what = "loss" if bad.any() else "gradient"
        if not bad.any() and "gram" in logs:
            bad = ~np.isfinite(np.diag(logs["gram"]))
        places = np.flatnonzero(bad if bad.any() else active)
        rows = self.batches.rows_of(step - 1)
        names = [list(self.files)[place] for place in places]
        value = losses[places[0]] if what == "loss" else norm
        where = "; ".join(part for name in names for part in self._places(name, rows[name]))
        found = f"The {what} of {' and '.join(names)} is {value:g} at step {step} ({where}, the first row being 1)."
        if bool(logs["skipped"]):
            self.skipped += 1
            logging.warning("%s The step is left out; %d so far.", found, self.skipped)
            return
        other = "set --precision=bfloat16, which has a larger range, or " if "loss_scale" in logs else ""
        raise UserError(
            f"{found} The last checkpoint in the run's folder is from before; lower the learning rate or look at these "
            f"rows, and train again, or {other}set --on_nonfinite=skip."
        )

    def report(self) -> None:
        """Warns at the end of training if steps were skipped."""
        if self.skipped:
            logging.warning("%d steps were left out because a loss or gradient was not finite.", self.skipped)

    def _places(self, name: str, rows: np.ndarray) -> Iterator[str]:
        first = 0
        for path, count in self.files[name]:
            own = sorted((rows[(rows >= first) & (rows < first + count)] - first).tolist())
            if own:
                yield f"rows {', '.join(str(row + 1) for row in own)} of {path}"
            first += count


class StuckLosses:
    """Warns once per task if, a tenth of the steps after warm-up, its loss is still about that of uniform guessing."""

    def __init__(self, tasks: tuple[Task, ...], plan: StepPlan, focal_gamma: dict[str, float]) -> None:
        """Takes the tasks, the run's steps, and task name -> focal power, which reduces the loss of guessing."""
        self.warmup_steps = plan.warmup_steps
        self.check_at = self.warmup_steps + math.ceil(CHECK_AFTER * plan.train_steps)
        self.guessing = {
            task.name: math.log(task.num_labels) * (1.0 - 1.0 / task.num_labels) ** focal_gamma.get(task.name, 0.0)
            for task in tasks
            if task.type == CLASSIFY
        }
        self._seen: dict[str, deque[float]] = {name: deque(maxlen=WINDOW) for name in self.guessing}

    def see(self, step: int, losses: dict[str, float]) -> None:
        """Records the losses of a step's tasks; warns when the check is due."""
        if step <= self.warmup_steps:  # the learning rate is still too small to judge
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


class GradientProbe:
    """Measures the gradients of a batch of every task every few steps; costs about a joint step and updates nothing."""

    def __init__(self, step: TrainStep, batches: TaskBatches, every: int) -> None:
        """Takes the train step, the tasks' batches, and the number of steps between measurements; 0 means never."""
        self.step, self.batches, self.every = step, batches, every
        self._gram: tf.types.experimental.PolymorphicFunction | None = None

    def due(self, step: int) -> bool:
        """Returns whether to measure after a step."""
        return self.every > 0 and step % self.every == 0

    def measure(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the losses [K] and the Gram matrix [K, K] of their gradients on batches that depend only on the step."""
        if self._gram is None:
            self._gram = tf.function(self.step.task_gram, autograph=False, reduce_retracing=True)
        batches = self.batches.of_all(step // len(self.batches.orders))
        losses, gram = self._gram(tf.nest.map_structure(tf.constant, batches))
        return losses.numpy(), gram.numpy()


def shares(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns each task's share of the sum of the weighted gradient norms [K]; zeros if all norms are 0."""
    norms = np.abs(weights) * norms_of(gram)
    return norms / norms.sum() if norms.sum() > 0 else norms


def cosines(gram: np.ndarray) -> np.ndarray:
    """Returns the cosines between the gradients [K, K]; NaN where a gradient is zero."""
    norms = norms_of(gram)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gram / np.outer(norms, norms)
