"""Keras callbacks besides the log: saving checkpoints, and stopping on a signal."""

import signal
from types import FrameType, TracebackType
from typing import Any

import tf_keras

from easytransfer_mtl.runs.checkpoints import RunCheckpoints
from easytransfer_mtl.runs.metrics_log import StepTable
from easytransfer_mtl.runs.step_plan import StepPlan

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a run in good order: from the keyboard, from a batch system, from a closed terminal."""


def stopping_signals() -> tuple[int, ...]:
    """Returns the signals to handle; without SIGHUP if it is ignored, as under ``nohup``."""
    hangup = getattr(signal, "SIGHUP", None)
    return tuple(number for number in STOPPING if number != hangup or signal.getsignal(number) != signal.SIG_IGN)


class SaveCheckpoints(tf_keras.callbacks.Callback):
    """Saves at the start, every ``save_steps`` steps and at the end, as EasyTransfer did."""

    def __init__(self, checkpoints: RunCheckpoints, metrics: StepTable, plan: StepPlan) -> None:
        super().__init__()
        self.checkpoints, self.metrics, self.plan = checkpoints, metrics, plan

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Saves step 0."""
        if int(self.model.optimizer.iterations.numpy()) == 0:
            self.checkpoints.save(0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves after the steps that the plan names."""
        step = int(self.model.optimizer.iterations.numpy())
        if self.plan.saves_after(step):
            self.metrics.flush()
            self.checkpoints.save(step)


class StopOnSignal(tf_keras.callbacks.Callback):
    """On SIGINT, SIGTERM or SIGHUP: finishes the step, saves it separately, and ends training. A second SIGINT ends at once.

    A context manager that installs its signal handlers before the first step and restores the previous ones afterwards,
    however training ends.
    """

    def __init__(self, checkpoints: RunCheckpoints, metrics: StepTable) -> None:
        super().__init__()
        self.checkpoints, self.metrics = checkpoints, metrics
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves and stops if a signal arrived during the step."""
        if self.received is None:
            return
        self.model.stop_training = True
        self.metrics.flush()
        self.checkpoints.save_interrupted(int(self.model.optimizer.iterations.numpy()))

    def __enter__(self) -> "StopOnSignal":
        self._before = {number: signal.signal(number, self._remember) for number in stopping_signals()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
