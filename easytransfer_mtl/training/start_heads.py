"""The heads that start from the checkpoint: EasyTransfer's task heads, and those that ``--take_heads`` names."""

import logging
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.encoders.loading import LoadedEncoder, are_unnamed, labels_of
from easytransfer_mtl.encoders.name_map import head_name
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, SCORE, TAGS, Task

PROBLEM_TYPES = {
    "single_label_classification": CLASSIFY, "multi_label_classification": MULTI_LABEL, "regression": SCORE,
}  # fmt: skip
"""A value of ``problem_type`` in a config.json that transformers wrote -> the type of a task."""
OF_TOKENS = "ForTokenClassification"
"""End of the names of transformers' classes whose head reads a state per token."""


@dataclass(frozen=True)
class TakenHead:
    """A head of the checkpoint that a task starts from.

    Attributes:
        name: its name in ``LoadedEncoder.heads``.
        order: for each of the task's labels, the label's number in the head; of numbers the one output's.
        reads_pooled: whether it reads the pooled output, not a state per token.
    """

    name: str
    order: tuple[int, ...]
    reads_pooled: bool


def choose_heads(
    settings: TrainSettings, tasks: list[Task], files: EncoderFiles, architecture: Architecture
) -> dict[str, TakenHead]:
    """Returns task name -> the head that ``--take_heads`` names, with its labels in the order of config.json's ``id2label``.

    Raises:
        UserError: a task has another feature or head than a checkpoint's, or another type or other labels than the
            checkpoint.
    """
    names = by_task(settings, "take_heads", [task.name for task in tasks])
    labels = labels_of(files) if names else None
    chosen = {}
    for task in (task for task in tasks if task.name in names):
        place = f"take_heads {task.name.lower()}={names[task.name]}"
        _check_type(task, files, place)
        if reason := _other_than_baseline(task, architecture):
            raise UserError(f"{place}: {reason}. Leave {task.name.lower()} out of --take_heads, or these settings.")
        order = _label_order(task, labels, files, place)
        chosen[task.name] = TakenHead(head_name(names[task.name]), order, task.type != TAGS)
    return chosen


def _other_than_baseline(task: Task, architecture: Architecture) -> str | None:
    feature, head = architecture.spec_of(task)
    wanted, read = ("sequence", "last states") if task.type == TAGS else ("pooled", "pooled output")
    if (feature.text, head.text) == (wanted, "dense"):
        return None
    return f"the checkpoint's head is dense on the encoder's {read}, {task.name} has {head.text} on {feature.text}"


def _check_type(task: Task, files: EncoderFiles, place: str) -> None:
    """Raises UserError if config.json says that the head was trained for another type of task."""
    value = read_json(files.config_file, "encoder config")
    names, problem = (value.get(key) if isinstance(value, dict) else None for key in ("architectures", "problem_type"))
    is_of_tokens = isinstance(names, list) and any(str(name).endswith(OF_TOKENS) for name in names)
    said = f"architectures is {shown(names)}" if is_of_tokens else f"problem_type is {shown(problem)}"
    found = TAGS if is_of_tokens else PROBLEM_TYPES.get(problem) if isinstance(problem, str) else None
    if found not in (None, task.type):
        raise UserError(
            f"{place}: the head of {files.config_file} is of the type {found} ({said}), and {task.name} of the type "
            f"{task.type}; take the head of a checkpoint of the same type, or leave {task.name.lower()} out of --take_heads."
        )


def _label_order(task: Task, labels: tuple[str, ...] | None, files: EncoderFiles, place: str) -> tuple[int, ...]:
    """Returns for each of the task's labels its number in the checkpoint's head, whose ``labels`` may be without names."""
    wanted = task.label_enumerate_values
    if task.type == SCORE:
        if labels is not None and len(labels) != 1:
            raise UserError(
                f"{place}: {files.config_file} (id2label) has {len(labels)} labels, {listed(labels)}, and {task.name} is of "
                f"the type {SCORE}, whose head has one output. Take the head of a checkpoint with one."
            )
        return (0,)
    if labels is not None and sorted(labels) == sorted(wanted):
        return tuple(labels.index(label) for label in wanted)
    if labels is not None and not (are_unnamed(labels) and len(labels) == len(wanted)):
        raise UserError(
            f"{place}: {files.config_file} (id2label) has {len(labels)} labels, {listed(labels)}, and {task.name} has "
            f"{len(wanted)}, {listed(wanted)}. Take the head of a checkpoint of the same labels, or write the task's into "
            "id2label, in the order that the head was trained with."
        )
    logging.info(
        "%s: %s does not name the head's labels (id2label); they are taken to be in the task's order, %s",
        place, files.config_file, listed(wanted),
    )  # fmt: skip
    return tuple(range(len(wanted)))


def start_heads(model: MultiTaskModel, loaded: LoadedEncoder, chosen: dict[str, TakenHead]) -> None:
    """Assigns heads from the checkpoint: the chosen ones, and EasyTransfer's task heads wherever the checkpoint has them.

    Args:
        model: its other heads stay as they are.
        loaded: the encoder with the checkpoint's heads.
        chosen: see ``choose_heads``.

    Raises:
        UserError: a head has another shape than the task's, or a chosen one's task reads other states than the encoder's.
    """
    for task in model.tasks:
        head = chosen.get(task.name, TakenHead(task.head_name, tuple(range(task.num_labels)), task.type != TAGS))
        arrays = [loaded.heads.get(f"{head.name}/{part}") for part in ("kernel", "bias")]
        if all(array is None for array in arrays):
            continue
        reason = _other_than_baseline(task, model.architecture)
        if not model.sharing.starts_as_hard:
            sharing = model.architecture.sharing.sharing
            read = "pooled output" if head.reads_pooled else "states"
            reason = f"the checkpoint's head reads the encoder's {read}, which sharing {sharing} changes"
        if reason and task.name in chosen:
            raise UserError(
                f"take_heads {task.name.lower()}={head.name}: {reason}. Leave take_heads out, or set --sharing=hard."
            )
        if reason:
            logging.warning("%s starts random: %s.", task.name, reason)
            continue
        layer: Any = model.heads[task.logits_name]
        found = [None if array is None else array.shape for array in arrays]
        wanted = [weight.shape for weight in layer.get_weights()]
        if found != wanted:
            raise UserError(
                f"The checkpoint's head {head.name} has kernel and bias of the shapes {found}; {task.name} needs {wanted}. "
                "Use a checkpoint of the same labels, or one without task heads; leave --take_heads out, if it is given."
            )
        layer.set_weights([array[..., list(head.order)] for array in arrays if array is not None])
        logging.info("Load head %s of %s from the checkpoint", head.name, task.name)
