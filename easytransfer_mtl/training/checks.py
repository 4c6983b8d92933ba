"""Checks of training settings against each other and against the tasks, the encoder and the model class.

A setting's own range and the conditions under which it has an effect are declared with the setting; a method or a structure
checks its own options in its class.
"""

import logging
from typing import Any

from transformers import PretrainedConfig

from easytransfer_mtl.config.options import by_task, check_effects, options_of
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.encoders.config_checks import check_heads
from easytransfer_mtl.encoders.kinds import check_frozen_layers, check_precision, kind_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.encoded import LAYERS
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing import structure_of
from easytransfer_mtl.models.sharing.base import read_part
from easytransfer_mtl.models.sharing.layer_weights import num_tied_layers, parse_layer_weights
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.tasks import SCORE, Task
from easytransfer_mtl.training.adversarial import make_adversary
from easytransfer_mtl.training.loss_scale import SCALED
from easytransfer_mtl.weighting import ElementWeighting, TaskWeighting


def check_settings(settings: TrainSettings) -> None:
    """Checks settings against each other.

    Raises:
        UserError: a setting has no effect, or settings do not fit each other.
    """
    if settings.outputs:
        raise UserError("--outputs has no meaning in training; the run's folder is --model_dir.")
    check_effects(settings)
    make_adversary(settings)
    if settings.ema_decay >= 1:
        raise UserError(f"ema_decay is {settings.ema_decay}; it must be from 0 (off) to below 1.")
    _check_averages_and_stopping(settings)
    if settings.teacher:
        _check_distillation(settings)
    if settings.is_distributed:
        _check_distributed(settings)


def check_by_task(settings: TrainSettings, task_names: list[str]) -> None:
    """Raises UserError if the values by task of any setting do not fit the tasks."""
    for item in options_of(type(settings)).values():
        if item.by_task:
            by_task(settings, item.name, task_names)


def _check_averages_and_stopping(settings: TrainSettings) -> None:
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


def _check_distillation(settings: TrainSettings) -> None:
    if settings.folds_file:
        raise UserError(
            "teacher and folds_file do not go together: the teacher's models may have learned the rows of the fold that is "
            "left out, and through them the student's score on it would be too good. Leave one of them out."
        )
    if settings.is_distributed:
        raise UserError("teacher works without distribution_strategy only; leave one of them out.")
    if settings.distillation_hard_share == 1:
        raise UserError("distillation_hard_share is 1, which leaves the teacher out; give a share below 1, or no teacher.")
    without = [name for name in ("class_weights", "label_smoothing", "focal_gamma") if _differs(settings, name)]
    if without and not settings.distillation_hard_share:
        raise UserError(
            f"{', '.join(without)} changes the labels' loss, which distillation_hard_share 0 leaves out; leave it out too, "
            "or give a share above 0."
        )


def _differs(settings: TrainSettings, name: str) -> bool:
    return getattr(settings, name) != options_of(type(settings))[name].default


def _check_distributed(settings: TrainSettings) -> None:
    if settings.early_stopping_patience or settings.adversarial != "none":
        raise UserError(
            "adversarial and early_stopping_patience work without distribution_strategy only; leave them out with several "
            "GPUs or workers."
        )
    if settings.precision == SCALED:
        raise UserError(
            f"precision {SCALED} works without distribution_strategy only; leave that out, or set --precision=bfloat16."
        )
    if settings.on_nonfinite == "skip" or settings.log_gradients_every:
        raise UserError(
            "on_nonfinite skip and log_gradients_every work without distribution_strategy only; leave them out with "
            "several GPUs or workers."
        )
    if settings.sharing != "hard":
        raise UserError(
            f"sharing {settings.sharing} works without distribution_strategy only; leave that out, or set --sharing=hard."
        )


def check_encoder(settings: TrainSettings, config: PretrainedConfig) -> None:
    """Raises UserError if the encoder does not support a precision, or lacks layers that are to be frozen."""
    for precision in (settings.precision, settings.predict_precision):
        check_precision(config, precision)
    check_frozen_layers(config, settings.num_freezed_layers)


def check_model(
    settings: TrainSettings,
    tasks: list[Task],
    config: PretrainedConfig,
    architecture: Architecture,
    weighting: TaskWeighting,
) -> None:
    """Checks the architecture against the encoder, the tasks, the weighting and the other settings.

    Raises:
        UserError: they do not fit each other.
    """
    _check_types(settings, tasks)
    _check_sharing(settings, config, weighting)
    _check_delivered(architecture, tasks, config.num_hidden_layers)
    weighting.check_num_batches(settings.num_accumulated_batches)
    if weighting.needs_gram or weighting.num_batches:
        _check_gram_variables(settings, weighting, architecture, tasks, config)


def _check_types(settings: TrainSettings, tasks: list[Task]) -> None:
    """Raises UserError for settings that have no meaning for a task that is not of one label a row."""
    numbers = [task.name for task in tasks if task.type == SCORE]
    for name in ("class_weights", "label_smoothing", "focal_gamma"):
        values = by_task(settings, name, [task.name for task in tasks])
        wrong = [task for task in numbers if values.get(task) not in (None, 0.0, "none")]
        if wrong:
            raise UserError(
                f"{name} is for labels, and {wrong[0]} is of the type {SCORE}, a number; give it to the other tasks only "
                f"(--{name} TASK=VALUE,...)."
            )
    if numbers and settings.loss_weighting == "dtp" and not settings.dtp_kpi_file:
        raise UserError(
            f"loss_weighting dtp measures how often a task is right, and {numbers[0]} is of the type {SCORE}, which never "
            "is; set --dtp_kpi_file, or choose another method."
        )
    if numbers and settings.loss_weighting == "gradnorm" and settings.gradnorm_initial_losses == "log_classes":
        raise UserError(
            f"gradnorm_initial_losses log_classes is the loss of guessing among labels, and {numbers[0]} is of the type "
            f"{SCORE}; set --gradnorm_initial_losses=first."
        )


def _check_sharing(settings: TrainSettings, config: PretrainedConfig, weighting: TaskWeighting) -> None:
    of_its_own = settings.sharing == "shared_private" and settings.private_part == "encoder" and settings.private_layers != 0
    if settings.adversarial != "none" and (settings.sharing == "soft" or of_its_own):
        raise UserError(
            f"adversarial {settings.adversarial} attacks the shared word embeddings, and with sharing {settings.sharing} "
            "tasks have tables of their own; leave it out, or choose another --sharing."
        )
    if settings.sharing == "soft":
        _check_soft(settings, config, weighting)
    if settings.sharing == "shared_private":
        _check_private(settings, config, weighting.num_tasks)


def _check_soft(settings: TrainSettings, config: PretrainedConfig, weighting: TaskWeighting) -> None:
    parse_layer_weights("soft_layers", settings.soft_layers, num_tied_layers(config))
    wants = {
        f"loss_weighting {weighting.name} compares the tasks' gradients of shared variables": (
            weighting.needs_gram or weighting.num_batches is not None or isinstance(weighting, ElementWeighting)
        ),
        "log_gradients_every compares the tasks' gradients of shared variables": settings.log_gradients_every > 0,
        "scale_heads false weighs the gradients of shared variables only": not settings.scale_heads,
    }
    for what, wanted in wants.items():
        if wanted:
            raise UserError(
                f"{what}, and with sharing soft there is nothing shared: every task has an encoder of its own. Choose "
                "another --sharing, or leave that setting out."
            )


def _check_private(settings: TrainSettings, config: PretrainedConfig, num_tasks: int) -> None:
    part, depth = settings.private_part, settings.private_depth(config.num_hidden_layers)
    if part != "encoder" and depth > config.num_hidden_layers:
        raise UserError(
            f"private_layers is {depth}, but the encoder has {config.num_hidden_layers} layers for private_part {part}; set "
            f"--private_layers to at most {config.num_hidden_layers}."
        )
    if (part == "adapter" or part == "top" and depth) and not kind_of(config).has_bert_layers:
        raise UserError(
            f"private_part {part} works with layers like BERT's only, not with those of model_type {config.model_type}; set "
            "--private_part=encoder, or another --sharing."
        )
    if part == "encoder" and depth:
        small = small_config(config, depth, settings.private_width)
        check_heads(small.hidden_size, small.num_attention_heads, config.model_type, "private_width")
    if settings.adversarial_weight > 0 and num_tasks < 2:
        raise UserError("adversarial_weight needs at least two tasks to tell apart; leave it out.")
    if part == "encoder" and depth and settings.num_freezed_layers:
        raise UserError(
            "num_freezed_layers would freeze the private encoders' random layers too; set --private_part=top or adapter, or "
            "--num_freezed_layers=0."
        )


def _check_delivered(architecture: Architecture, tasks: list[Task], num_layers: int) -> None:
    """Raises UserError if a task reads layers that the sharing structure does not deliver."""
    if LAYERS in structure_of(architecture.sharing).delivered(architecture.sharing):
        return
    for task in tasks:
        feature = architecture.spec_of(task).feature
        for part in feature.parts:
            if part.reads_encoder and part.layers(num_layers) != (num_layers,):
                raise UserError(
                    f"features {task.name.lower()}={feature.text} reads layers below the last, which sharing "
                    f"{architecture.sharing.sharing} does not deliver; read the last one ({part.pooling}), or set "
                    "--sharing=hard, soft, or shared_private with --private_part=adapter."
                )


def _check_gram_variables(
    settings: TrainSettings,
    weighting: TaskWeighting,
    architecture: Architecture,
    tasks: list[Task],
    config: PretrainedConfig,
) -> None:
    """Raises UserError if the Gram matrix's variables are frozen, not read by any task, or shared by all layers."""
    kind, depth = settings.gram_variables or weighting.gram_variables, config.num_hidden_layers
    what = f"loss_weighting {settings.loss_weighting} reads the gradients of gram_variables {kind}"
    if kind == "last_layer" and kind_of(config).shares_layers:
        raise UserError(
            f"{what}, but all layers of model_type {config.model_type} are one; set --gram_variables=pooler, or all."
        )
    if kind == "last_layer" and settings.num_freezed_layers == depth:
        raise UserError(f"{what}, which num_freezed_layers freezes; set --gram_variables=pooler, or freeze fewer layers.")
    reads_pooled, highest = read_part([architecture.spec_of(task).feature for task in tasks], depth)
    if (kind == "pooler" and not reads_pooled) or (kind == "last_layer" and highest < depth):
        raise UserError(f"{what}, which no task reads (--features); set --gram_variables=all.")


def warn_without_dropout(
    settings: TrainSettings, tasks: list[Task], config: PretrainedConfig, architecture: Architecture
) -> None:
    """Warns if R-Drop is on and a task has no dropout, so that the two passes of a row are equal."""
    if not settings.rdrop_alpha or config.hidden_dropout_prob or config.attention_probs_dropout_prob:
        return
    rates = by_task(settings, "token_dropout", [task.name for task in tasks])
    without = [
        name
        for name, rate in rates.items()
        if not (rate or architecture.dropout_of(name) or name in architecture.part_dropout)
    ]
    if without:
        logging.warning(
            "rdrop_alpha has no effect for %s: there is no dropout of any kind, so both passes are one.", ", ".join(without)
        )


def check_class(model_class: type[MultiTaskModel], architecture: Architecture, losses: dict[str, TaskLoss]) -> None:
    """Checks a subclass that overrides ``build_logits``; warns if its ``build_loss`` may ignore the settings of losses.

    Raises:
        UserError: the subclass overrides ``build_logits``, and features, heads or dropout rates by task are given, which
            would have no effect or not fit, or a sharing structure other than hard, whose penalty would be lost.
    """
    if model_class.build_loss is not MultiTaskModel.build_loss and not all(loss.is_plain for loss in losses.values()):
        logging.warning(
            "%s overrides build_loss: class_weights, label_smoothing and focal_gamma will have an effect only if it calls "
            "super().build_loss, or reads task_losses.",
            model_class.__name__,
        )
    if model_class.build_logits is MultiTaskModel.build_logits:
        return
    own: dict[str, dict[str, Any]] = {
        "features": architecture.features,
        "heads": architecture.heads,
        "head_dropout": architecture.task_dropout,
    }
    given = [f"--{name}={_as_text(values)}" for name, values in own.items() if values]
    if given:
        raise UserError(
            f"{model_class.__name__} overrides build_logits, so that it decides by itself what tasks read; leave out "
            f"{', '.join(given)}, or make these layers in its build_layers."
        )
    if architecture.sharing.sharing != "hard":
        raise UserError(
            f"{model_class.__name__} overrides build_logits, which sharing {architecture.sharing.sharing} needs for itself; "
            "override task_logits instead, or set --sharing=hard."
        )


def _as_text(values: dict[str, Any]) -> str:
    return ",".join(f"{name.lower()}={value}" for name, value in values.items())
