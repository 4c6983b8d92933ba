"""Checkpoints of a run: weights, optimizer, weighting and step in one object, so that going on equals never stopping."""

import logging
import shutil
from pathlib import Path

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

AVERAGES = "averages"
"""What a checkpoint calls the moving averages in it."""
UNUSABLE = (tf.errors.OpError, AssertionError, IndexError, ValueError)
"""What TensorFlow raises for a checkpoint that is damaged or of another model."""


class Progress(tf.Module):
    """What a run remembers besides the model: the running mean of the loss that its log prints."""

    def __init__(self) -> None:
        super().__init__(name="progress")
        self.avg_loss = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="avg_loss")


class RunCheckpoints:
    """Saves and restores a run.

    Regular checkpoints are kept as EasyTransfer kept them (the newest ``keep``). The one that a signal causes lies in a
    folder of its own and goes when the next regular one is there, so that an interrupted run leaves the same files as
    one that was not.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        progress: tf.Module,
        folder: Path,
        keep: int,
        is_chief: bool = True,
        **more: tf.train.Checkpoint,
    ) -> None:
        """Takes the run's parts, its folder, how many to keep, whether this process may change it, and more parts."""
        self.model = model
        self.folder = folder
        self._is_chief = is_chief
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(model=model, progress=progress, **more)
        _ = self._checkpoint.save_counter  # made here by all workers, and not by the chief alone when it saves
        if is_chief:
            repair_state(folder)
        self._current: int | None = None

    def save(self, step: int) -> None:
        """Saves a regular checkpoint of ``step``, unless it is the one that was saved or restored last.

        Any other of the same step is one that could not be restored, and is replaced.

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
        """Saves ``step`` apart, for going on after a stop, unless its regular checkpoint was just saved.

        The save counter stays as it is, since a stop must leave no trace.

        Raises:
            UserError: it cannot be written.
        """
        if step != self._current:
            self._write(self.folder / INTERRUPTED, step, 1)

    def _write(self, folder: Path, step: int, keep: int) -> None:
        """Writes a checkpoint and only then takes it into the folder's list, which loses the oldest."""
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
        """Restores the newest checkpoint that can be read and holds no NaN; returns its step, or None if there is none.

        A start alone is none: nothing was trained, and the settings and the encoder may have changed since.
        What a process that was killed while saving left half-written is removed.

        Raises:
            UserError: there are checkpoints but none can be read or fits the model.
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
        """Returns the variables that a step goes on from: weights, optimizer slots, moving averages."""
        averages = getattr(self.model, "averages", None)
        return [*self.model.variables, *self.model.optimizer.variables, *(averages.averages if averages else [])]

    def _made_current(self, step: int) -> None:
        """Notes that ``step``'s regular checkpoint holds the present state; an older one of a stop is of no use then."""
        self._current = step
        if self._is_chief:
            shutil.rmtree(self.folder / INTERRUPTED, ignore_errors=True)
