"""Checkpoints of a run: weights, optimizer, weighting and step in one object, so that resuming equals never stopping."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.finite import check_variables
from easytransfer_mtl.errors import NonFiniteError, UserError, problem_of
from easytransfer_mtl.files import readable_by_tensorflow
from easytransfer_mtl.runs.checkpoint_files import (
    INTERRUPTED,
    add_to_state,
    checkpoint_steps,
    prefix_of,
    remove_failed,
    remove_unfinished,
    repair_state,
    to_disk,
)

AVERAGES, LOSS_SCALE = "averages", "loss_scale"
"""Names of the moving averages and of float16's loss scale in a checkpoint."""
UNUSABLE = (tf.errors.OpError, AssertionError, IndexError, ValueError)
"""Errors that TensorFlow raises for a checkpoint that is damaged or belongs to another model."""


class Progress(tf.Module):
    """A run's state outside the model: the running mean of the loss, which the log prints."""

    def __init__(self) -> None:
        super().__init__(name="progress")
        self.avg_loss = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="avg_loss")


class RunCheckpoints:
    """Saves and restores a run.

    Regular checkpoints are kept as in EasyTransfer (the newest ``keep``). A checkpoint saved on a signal lies in a separate
    folder and is removed when the next regular one is saved, so that an interrupted run leaves the same files as an
    uninterrupted one.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        progress: tf.Module,
        folder: Path,
        keep: int,
        is_chief: bool = True,
        averages: Sequence[tf.Variable] = (),
        loss_scale: tf.Module | None = None,
    ) -> None:
        """Takes model and progress, the run's folder, the number to keep, whether it may be changed, moving averages, and
        the loss scale."""
        self.model = model
        self.folder = folder
        self._is_chief = is_chief
        self._keep = keep
        more: dict[str, Any] = {AVERAGES: tf.train.Checkpoint(values=list(averages))} if averages else {}
        if loss_scale:
            more[LOSS_SCALE] = loss_scale
        self._checkpoint = tf.train.Checkpoint(model=model, progress=progress, **more)
        self._averages = averages
        _ = self._checkpoint.save_counter  # created here by all workers, not only by the chief when it saves
        if is_chief:
            repair_state(folder)
        self._current: int | None = None

    def save(self, step: int) -> None:
        """Saves a regular checkpoint of ``step``, unless it was the last one saved or restored.

        Any other checkpoint of the same step could not be restored, and is replaced.

        Raises:
            UserError: it cannot be written.
        """
        if step == self._current:
            return
        self._checkpoint.save_counter.assign_add(1)
        self._write(self.folder, step, self._keep)
        self._made_current(step)
        logging.info("Saving checkpoints for %d into %s.", step, prefix_of(self.folder, step))

    def save_interrupted(self, step: int) -> None:
        """Saves ``step`` separately, for resuming after a stop, unless its regular checkpoint was just saved.

        The save counter is not increased, since a stop must leave no trace.

        Raises:
            UserError: it cannot be written.
        """
        if step != self._current:
            self._write(self.folder / INTERRUPTED, step, 1)

    def _write(self, folder: Path, step: int, keep: int) -> None:
        """Writes a checkpoint and then adds it to the state file, from which the oldest is dropped."""
        prefix = prefix_of(folder, step)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._checkpoint.write(str(prefix))
            to_disk(folder, step)
        except (OSError, tf.errors.OpError) as error:
            remove_failed(folder, step)
            reason = problem_of(error) or str(error).splitlines()[0]
            raise UserError(f"Checkpoint {prefix} cannot be written: {reason.removeprefix(f'{prefix}: ')}") from None
        add_to_state(folder, step, keep)

    def restore_latest(self) -> int | None:
        """Restores the newest readable checkpoint without NaN; returns its step, or None if there is none.

        Step 0 alone does not count: nothing was trained, and the settings and the encoder may have changed since.
        Half-written files of a process that was killed while saving are removed.

        Raises:
            UserError: there are checkpoints, but none can be read or fits the model.
        """
        if self._is_chief:
            remove_unfinished(self.folder)
        folders = (self.folder, self.folder / INTERRUPTED)
        found = sorted(
            ((step, prefix) for folder in folders for step, prefix in checkpoint_steps(folder).items()), reverse=True
        )
        problems = []
        for step, prefix in found if any(step for step, _ in found) else ():
            try:
                with readable_by_tensorflow(prefix) as path:
                    self._checkpoint.restore(path).assert_consumed()
                check_variables(self._saved_floats(), f"Checkpoint {prefix}")
                if prefix.parent == self.folder:
                    self._made_current(step)
                return step
            except (*UNUSABLE, NonFiniteError) as error:
                problems.append(f"{prefix}: {str(error).splitlines()[0]}")
                logging.warning("Checkpoint %s cannot be used: %s", prefix, problems[-1])
        if problems:
            raise UserError(
                f"No checkpoint in {self.folder} can be restored:\n"
                + "\n".join(problems)
                + "\nIf the model or the optimizer was changed, use another --model_dir."
            )
        return None

    def _saved_floats(self) -> list[tf.Variable]:
        """Returns the variables that the next step depends on: weights, optimizer slots, moving averages."""
        return [*self.model.variables, *self.model.optimizer.variables, *self._averages]

    def _made_current(self, step: int) -> None:
        """Records that the regular checkpoint of ``step`` holds the current state; removes the one saved on a signal."""
        self._current = step
        if self._is_chief:
            shutil.rmtree(self.folder / INTERRUPTED, ignore_errors=True)
