"""Checkpoints of a run: weights, optimizer, weighting and step in one object, so that going on equals never stopping."""

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel

NAME = "model.ckpt"
INTERRUPTED = "interrupted"
STATE = "checkpoint"
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
        checkpoint = tf.train.Checkpoint(model=model, progress=progress, **more)
        _ = checkpoint.save_counter  # made here by all workers, and not by the chief alone when it saves
        self._checkpoint = checkpoint
        if is_chief:
            _repair_state(folder)
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=keep, checkpoint_name=NAME)
        self._current: int | None = None

    def save(self, step: int) -> None:
        """Saves a regular checkpoint of ``step``, unless it is the one that was saved or restored last.

        Any other of the same step is one that could not be restored, and is replaced.
        """
        if step == self._current:
            return
        prefix = self._manager.save(checkpoint_number=step)
        _to_disk(Path(prefix))
        self._made_current(step)
        logging.info("Saving checkpoints for %d into %s.", step, prefix)

    def save_interrupted(self, step: int) -> None:
        """Saves ``step`` apart, for going on after a stop, unless its regular checkpoint was just saved."""
        if step == self._current:
            return
        folder = self.folder / INTERRUPTED
        self._checkpoint.save_counter.assign_sub(1)  # the manager adds 1 to it; a stop must leave no trace
        manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=1, checkpoint_name=NAME)
        _to_disk(Path(manager.save(checkpoint_number=step)))

    def restore_latest(self) -> int | None:
        """Restores the newest checkpoint that can be read; returns its step, or None if there is none.

        What a process that was killed while saving left half-written is removed.

        Raises:
            UserError: there are checkpoints but none can be read or fits the model.
        """
        if self._is_chief:
            _remove_unfinished(self.folder)
        folders = (self.folder, self.folder / INTERRUPTED)
        found = sorted(
            ((step, prefix) for folder in folders for step, prefix in checkpoint_steps(folder).items()), reverse=True
        )
        problems = []
        for step, prefix in found:
            try:
                self._checkpoint.restore(str(prefix)).assert_consumed()
                if prefix.parent == self.folder:
                    self._made_current(step)
                return step
            except UNUSABLE as error:
                problems.append(f"{prefix}: {str(error).splitlines()[0]}")
                logging.warning("Checkpoint %s cannot be used: %s", prefix, problems[-1])
        if problems:
            raise UserError(
                f"No checkpoint in {self.folder} can be restored:\n"
                + "\n".join(problems)
                + "\nIf the model or the optimizer was changed, use another --model_dir."
            )
        return None

    def _made_current(self, step: int) -> None:
        """Notes that ``step``'s regular checkpoint holds the present state; an older one of a stop is of no use then."""
        self._current = step
        if self._is_chief:
            shutil.rmtree(self.folder / INTERRUPTED, ignore_errors=True)


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Returns step -> prefix of a folder's complete checkpoints, in ascending order.

    They are those that the state file lists, or, if that is lost, all that are there.
    """
    state = _read_state(folder)
    if state is None:
        paths = [path.name.removesuffix(".index") for path in folder.glob(f"{NAME}-*.index")]
    else:
        paths = list(state.all_model_checkpoint_paths)
    found = {}
    for path in (folder / Path(path).name for path in paths):
        match = re.fullmatch(rf"{NAME}-(\d+)", path.name)
        if match and path.with_name(path.name + ".index").exists():
            found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def has_checkpoints(folder: Path) -> bool:
    """Tells whether a folder has a run's checkpoints, regular ones or that of a stop."""
    return any(checkpoint_steps(path) for path in (folder, folder / INTERRUPTED))


def _read_state(folder: Path) -> Any:
    """Returns TensorFlow's state file of a folder's checkpoints, or None if there is none that can be read."""
    try:
        return tf.train.get_checkpoint_state(str(folder))
    except (tf.errors.OpError, ValueError):
        return None


def _remove_unfinished(folder: Path) -> None:
    """Removes what TensorFlow writes beside a checkpoint, a folder, and beside the state file before it renames them."""
    for path in [*folder.glob(f"{NAME}-*_temp"), *folder.glob(f"{STATE}.tmp*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _repair_state(folder: Path) -> None:
    """Writes the state file anew from the checkpoints that are there, if a power cut has spoiled it."""
    if (folder / STATE).exists() and _read_state(folder) is None:
        paths = [str(path) for path in checkpoint_steps(folder).values()]
        (folder / STATE).unlink()
        if paths:
            logging.warning("%s cannot be read; taking the checkpoints that are there", folder / STATE)
            times = [Path(f"{path}.index").stat().st_mtime for path in paths]
            tf.compat.v1.train.update_checkpoint_state(
                str(folder),
                paths[-1],
                paths,
                all_model_checkpoint_timestamps=times,
                last_preserved_timestamp=min(times) - 1.0,  # what is not later is kept but no longer listed
            )


def restore_model(model: MultiTaskModel, prefix: Path) -> None:
    """Gives a model the weights of a run's checkpoint, without optimizer and progress.

    Raises:
        UserError: the checkpoint is damaged or does not fit.
    """
    try:
        status = tf.train.Checkpoint(model=model).read(str(prefix))
        status.expect_partial().assert_existing_objects_matched()
        stored = [name for name, _ in tf.train.list_variables(str(prefix)) if _is_weight(name)]
    except UNUSABLE as error:
        raise UserError(f"Checkpoint {prefix} cannot be restored: {str(error).splitlines()[0]}") from None
    if len(stored) > len(model.variables):
        raise UserError(
            f"Checkpoint {prefix} holds {len(stored)} weights, {type(model).__name__} has {len(model.variables)}: it is of "
            "another model class. Evaluate it with the class it was trained with."
        )


def _is_weight(stored: str) -> bool:
    """Whether a stored name is a weight's that predictions may depend on."""
    return stored.startswith("model/") and not stored.startswith(("model/optimizer/", "model/weighting/"))


def _to_disk(prefix: Path) -> None:
    """Has the operating system write a checkpoint's files, so that a power cut after the save cannot take them."""
    for path in [*prefix.parent.glob(f"{prefix.name}.*"), prefix.parent / STATE, prefix.parent]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
