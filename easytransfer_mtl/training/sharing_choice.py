"""A run's settings to its sharing structure; what cannot work is told before anything is built."""

from dataclasses import fields

from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.config_checks import check_heads
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.encoded import LAYERS
from easytransfer_mtl.models.sharing import structure_of
from easytransfer_mtl.models.sharing.layer_weights import num_tied_layers, parse_layer_weights
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.models.sharing_options import OPTIONS_OF, OPTIONS_OF_PART, SharingOptions, options_read
from easytransfer_mtl.models.task_parts import task_spec
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import TaskWeighting


def sharing_options(settings: TrainSettings) -> SharingOptions:
    """Returns the structure's options.

    Raises:
        UserError: an option is set that the structure does not read.
    """
    read = options_read(settings.sharing, settings.private_part, settings.private_layers)
    found = SharingOptions(**{field.name: getattr(settings, field.name) for field in fields(SharingOptions)})
    for field in fields(SharingOptions):
        if field.name not in read and getattr(found, field.name) != field.default:
            raise UserError(
                f"{field.name} has no effect with {_as_words(settings)}. Set {_owner(field.name)}, or leave it out."
            )
    return found


def _as_words(settings: TrainSettings) -> str:
    """Returns a structure as errors name it."""
    if settings.sharing != "shared_private":
        return f"sharing {settings.sharing}"
    without = " without private layers" if settings.private_layers == 0 else ""
    return f"sharing shared_private, private_part {settings.private_part}{without}"


def _owner(option: str) -> str:
    """Returns the setting under which an option is read."""
    sharings = [sharing for sharing, options in OPTIONS_OF.items() if option in options]
    parts = [part for part, options in OPTIONS_OF_PART.items() if option in options]
    if sharings:
        return f"--sharing={' or '.join(sharings)}"
    return f"--sharing=shared_private --private_part={' or '.join(parts)}"


def check_sharing(settings: TrainSettings, config: PretrainedConfig, weighting: TaskWeighting) -> None:
    """Checks a structure against the encoder, the weighting and the other settings.

    Args:
        settings: the configuration.
        config: the encoder's.
        weighting: the run's, which knows the number of tasks.

    Raises:
        UserError: something cannot work.
    """
    if settings.sharing != "hard" and settings.is_distributed:
        raise UserError(
            f"sharing {settings.sharing} works without distribution_strategy only; leave that out, or set --sharing=hard."
        )
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


def check_delivered(architecture: Architecture, tasks: list[Task], num_layers: int) -> None:
    """Raises UserError if a task is to read layers that its sharing structure does not deliver."""
    if LAYERS in structure_of(architecture).delivered(architecture.sharing_options):
        return
    for task in tasks:
        feature = task_spec(architecture, task).feature
        for part in feature.parts:
            if part.reads_encoder and part.layers(num_layers) != (num_layers,):
                raise UserError(
                    f"features {task.name.lower()}={feature.text} reads layers below the last, which sharing "
                    f"{architecture.sharing} does not deliver; read the last one ({part.pooling}), or set --sharing=hard, "
                    "soft, or shared_private with --private_part=adapter."
                )


def _check_soft(settings: TrainSettings, config: PretrainedConfig, weighting: TaskWeighting) -> None:
    parse_layer_weights("soft_layers", settings.soft_layers, num_tied_layers(config))
    wants = {
        f"loss_weighting {weighting.name} compares the tasks' gradients of shared variables": weighting.needs_gram,
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
    part, depth = settings.private_part, sharing_options(settings).depth(config.num_hidden_layers)
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
