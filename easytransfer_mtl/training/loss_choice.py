"""A run's settings to its losses inside a task, its attack and its averages, checked."""

import logging

import numpy as np
from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.adversarial import Adversary
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.task_losses import CLASS_WEIGHTS, LossOptions, class_weights
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import TaskWeighting
from easytransfer_mtl.weighting.task_values import parse_task_numbers, parse_task_rates, parse_task_words


def choose_loss(settings: TrainSettings, task_names: list[str], weighting: TaskWeighting) -> LossOptions:
    """Returns what is done to the tasks' cross entropy, but for label weights, which need the labels.

    Raises:
        UserError: a value does not fit, or the weighting has a focal factor of its own beside ``focal_gamma``.
    """
    parse_task_words("class_weights", settings.class_weights, task_names, ("none", *CLASS_WEIGHTS))
    smoothing = parse_task_rates("label_smoothing", str(settings.label_smoothing), task_names, 0.0)
    focal = dict(zip(task_names, parse_task_numbers("focal_gamma", str(settings.focal_gamma), task_names, 0.0)))
    if weighting.focal_gamma:
        if any(focal.values()):
            raise UserError(
                f"focal_gamma {settings.focal_gamma}: loss_weighting {weighting.name} has a focal factor of its own, the "
                f"power {weighting.focal_gamma:g}. Set --dtp_focal_gamma=0 to use focal_gamma, or leave focal_gamma out."
            )
        focal = dict.fromkeys(task_names, weighting.focal_gamma)
    return LossOptions(label_smoothing=smoothing, focal_gamma=focal)


def label_weights(settings: TrainSettings, rows: dict[str, tuple[EncodedRows, int]]) -> dict[str, list[float]]:
    """Returns task name -> weights of its labels, of the tasks that have any.

    Args:
        settings: the configuration.
        rows: task name -> its training rows and number of labels.
    """
    kinds = parse_task_words("class_weights", settings.class_weights, list(rows), ("none", *CLASS_WEIGHTS))
    return {
        name: class_weights(np.bincount(rows[name][0].label_ids, minlength=rows[name][1]), kind)
        for name, kind in kinds.items()
        if kind != "none"
    }


def token_dropout_rates(settings: TrainSettings, task_names: list[str]) -> tuple[float, ...]:
    """Returns the share of each task's tokens that training shows as [MASK].

    Raises:
        UserError: a value does not fit.
    """
    return tuple(parse_task_rates("token_dropout", str(settings.token_dropout), task_names, 0.0).values())


def choose_adversary(settings: TrainSettings) -> Adversary | None:
    """Returns the attack that the settings name, if any.

    Raises:
        UserError: a setting of it has no effect, or does not fit.
    """
    kind = settings.adversarial
    used = {"none": (), "fgm": ("epsilon",), "pgd": ("epsilon", "alpha", "steps")}[kind]
    for part, owner in (("epsilon", "fgm"), ("alpha", "pgd"), ("steps", "pgd")):
        name = f"adversarial_{part}"
        if part not in used and getattr(settings, name) != type(settings).__dataclass_fields__[name].default:
            raise UserError(f"{name} has no effect with adversarial {kind}. Set --adversarial={owner}, or leave it out.")
    if kind == "none":
        return None
    if kind == "fgm":
        return Adversary(1, settings.adversarial_epsilon, settings.adversarial_epsilon)
    return Adversary(settings.adversarial_steps, settings.adversarial_alpha, settings.adversarial_epsilon)


def check_averages_and_stopping(settings: TrainSettings) -> None:
    """Checks what is averaged and when training stops against the checkpoints that are kept.

    Raises:
        UserError: a setting does not fit.
    """
    if settings.ema_decay >= 1:
        raise UserError(f"ema_decay is {settings.ema_decay}; it must be from 0 (off) to below 1.")
    count, patience, kept = settings.swa_checkpoints, settings.early_stopping_patience, settings.keep_checkpoint_max
    if count == 1 or count > kept:
        raise UserError(
            f"swa_checkpoints is {count}; a mean needs 2 or more, and keep_checkpoint_max, {kept}, at most are there."
        )
    if count and settings.save_steps == 0:
        raise UserError(
            f"swa_checkpoints is {count}, and with save_steps 0 the last checkpoint is the only one; set --save_steps, or "
            "leave swa_checkpoints out."
        )
    if patience and not (settings.predict_input_fp or settings.folds_file):
        raise UserError(
            "early_stopping_patience needs --predict_input_fp, the dev files that training is stopped by, or a --fold."
        )
    if patience and settings.save_steps == 0:
        raise UserError("early_stopping_patience evaluates at every checkpoint; with save_steps 0 there is none on the way.")
    if patience >= kept:
        raise UserError(
            f"early_stopping_patience is {patience}, keep_checkpoint_max {kept}: the best checkpoint would be deleted "
            f"before training stops. Set --keep_checkpoint_max={patience + 1} or more."
        )
    if settings.is_distributed and (patience or settings.adversarial != "none"):
        raise UserError(
            "adversarial and early_stopping_patience work without distribution_strategy only; leave them out with several "
            "GPUs or workers."
        )


def warn_without_dropout(
    settings: TrainSettings,
    config: PretrainedConfig,
    architecture: Architecture,
    part_dropout: dict[str, float],
    tasks: list[Task],
) -> None:
    """Names the tasks in the log for which R-Drop is on without any dropout that the two passes of a row could differ by."""
    if not settings.rdrop_alpha or config.hidden_dropout_prob or config.attention_probs_dropout_prob:
        return
    names = [task.name for task in tasks]
    own = zip(names, token_dropout_rates(settings, names), strict=True)
    without = [name for name, rate in own if not (rate or architecture.dropout_of(name) or part_dropout.get(name))]
    if without:
        logging.warning(
            "rdrop_alpha has no effect for %s: there is no dropout of any kind, so both passes are one.", ", ".join(without)
        )
