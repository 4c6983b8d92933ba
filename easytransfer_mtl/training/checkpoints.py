"""Checkpoints of a run: weights, optimizer, weighting and step in one object, so that going on equals never stopping."""

import logging
import os
import re
import shutil
from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel

NAME = "model.ckpt"
INTERRUPTED = "interrupted"


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

    def __init__(self, model: MultiTaskModel, progress: Progress, folder: Path, keep: int) -> None:
        self.model = model
        self.folder = folder
        checkpoint = tf.train.Checkpoint(model=model, progress=progress)
        self._checkpoint = checkpoint
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=keep, checkpoint_name=NAME)

    def save(self, step: int) -> None:
        """Saves a regular checkpoint of ``step``, unless it is there."""
        if step in checkpoint_steps(self.folder):
            return
        prefix = self._manager.save(checkpoint_number=step)
        _to_disk(Path(prefix))
        logging.info("Saving checkpoints for %d into %s.", step, prefix)
        shutil.rmtree(self.folder / INTERRUPTED, ignore_errors=True)

    def save_interrupted(self, step: int) -> None:
        """Saves ``step`` apart, for going on after a stop."""
        folder = self.folder / INTERRUPTED
        manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=1, checkpoint_name=NAME)
        _to_disk(Path(manager.save(checkpoint_number=step)))

    def restore_latest(self) -> int | None:
        """Restores the newest checkpoint that can be read; returns its step, or None if there is none.

        Raises:
            UserError: there are checkpoints but none can be read or fits the model.
        """
        folders = (self.folder, self.folder / INTERRUPTED)
        found = sorted(((step, prefix) for folder in folders for step, prefix in checkpoint_steps(folder).items()), reverse=True)
        problems = []
        for step, prefix in found:
            try:
                self._checkpoint.restore(str(prefix)).assert_consumed()
                return step
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                problems.append(f"{prefix}: {str(error).splitlines()[0]}")
                logging.warning("Checkpoint %s cannot be used: %s", prefix, problems[-1])
        if problems:
            raise UserError(
                f"No checkpoint in {self.folder} can be restored:\n" + "\n".join(problems)
                + "\nIf the model or the optimizer was changed, use another --model_dir."
            )
        return None


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Returns step -> prefix of the complete checkpoints that ``folder``'s state file lists, in ascending order."""
    try:
        state = tf.train.get_checkpoint_state(str(folder))
    except (tf.errors.OpError, ValueError):
        state = None
    paths = list(state.all_model_checkpoint_paths) if state else []
    found = {}
    for path in (folder / Path(path).name for path in paths):
        match = re.fullmatch(rf"{NAME}-(\d+)", path.name)
        if match and path.with_name(path.name + ".index").exists():
            found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def restore_model(model: MultiTaskModel, prefix: Path) -> None:
    """Gives a model the weights of a run's checkpoint, without optimizer and progress.

    Raises:
        UserError: the checkpoint is damaged or does not fit.
    """
    try:
        status = tf.train.Checkpoint(model=model).read(str(prefix))
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise UserError(f"Checkpoint {prefix} cannot be restored: {str(error).splitlines()[0]}") from None


def _to_disk(prefix: Path) -> None:
    """Has the operating system write a checkpoint's files, so that a power cut after the save cannot take them."""
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
