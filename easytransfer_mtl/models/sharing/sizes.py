"""Numbers of parameters and of multiplications of a sharing structure, from the encoder's config alone."""

from dataclasses import dataclass

from transformers import PretrainedConfig

from easytransfer_mtl.encoders.sizes import dense_size, encoder_size, encoder_work, layer_size, layer_work
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.models.sharing_options import SharingOptions


@dataclass(frozen=True)
class Size:
    """How large a structure is, heads apart.

    Attributes:
        encoder: parameters of the model's encoder: the shared one, or with ``soft`` the first task's.
        shared: other parameters that several tasks move.
        private: parameters that one task alone moves, all tasks together, a first encoder apart.
        work: parameters that a token is multiplied by in a forward pass for one task.
        kept: layers whose states the backward pass needs, as pairs of a config and a number of layers.
    """

    encoder: int
    shared: int
    private: int
    work: int
    kept: tuple[tuple[PretrainedConfig, int], ...]

    @property
    def total(self) -> int:
        """All parameters but the heads'."""
        return self.encoder + self.shared + self.private


def size_of(architecture: Architecture, config: PretrainedConfig, num_tasks: int) -> Size:
    """Returns a structure's size.

    Args:
        architecture: with a known structure.
        config: the encoder's.
        num_tasks: K.
    """
    options, layers = architecture.sharing_options, config.num_hidden_layers
    encoder, work, kept = encoder_size(config), encoder_work(config), ((config, layers),)
    hard = Size(encoder, 0, 0, work, kept)
    if architecture.sharing == "soft":
        return Size(encoder, 0, (num_tasks - 1) * encoder, work, kept)
    if architecture.sharing == "shared_private":
        return _with_private(hard, options, config, num_tasks)
    if architecture.sharing == "memory":
        width = config.hidden_size
        hands = 5 * dense_size(width, width) + dense_size(2 * width, width)
        return Size(encoder, options.memory_slots * width, num_tasks * hands, work + width**2, kept)
    if architecture.sharing in ("mmoe", "ple"):
        return Size(encoder, *_experts(architecture, config.hidden_size, num_tasks), work, kept)
    return hard


def _with_private(hard: Size, options: SharingOptions, config: PretrainedConfig, num_tasks: int) -> Size:
    width, depth = config.hidden_size, options.depth(config.num_hidden_layers)
    if options.private_part == "adapter":
        adapter = dense_size(width, options.adapter_size) + dense_size(options.adapter_size, width)
        work = hard.work + depth * 2 * width * options.adapter_size
        return Size(hard.encoder, 0, num_tasks * depth * adapter, work, hard.kept)
    shared = dense_size(width, num_tasks) if options.adversarial_weight > 0 else 0
    if not depth:
        return Size(hard.encoder, shared, 0, hard.work, hard.kept)
    if options.private_part == "top":
        inner, own = config, depth * layer_size(config) + dense_size(width, width)
    else:
        inner = small_config(config, depth, options.private_width)
        own = encoder_size(inner)
    if options.combine == "gate":
        own += dense_size(2 * width, width) + (dense_size(inner.hidden_size, width) if inner.hidden_size != width else 0)
    work = hard.work + depth * layer_work(inner)
    return Size(hard.encoder, shared, num_tasks * own, work, (*hard.kept, (inner, depth)))


def _experts(architecture: Architecture, width: int, num_tasks: int) -> tuple[int, int]:
    """Returns the parameters that all tasks move, and those that one moves."""
    options, ple = architecture.sharing_options, architecture.sharing == "ple"
    levels, own = (options.ple_levels, options.task_experts) if ple else (1, 0)
    size, shared, private = options.expert_size or width, 0, 0
    for level in range(levels):
        inputs, last = width if level == 0 else size, level == levels - 1
        shared += dense_size(inputs, options.experts * size)
        shared += 0 if last else dense_size(inputs, options.experts + own * num_tasks)
        experts, gates = num_tasks * dense_size(inputs, own * size), num_tasks * dense_size(inputs, options.experts + own)
        private += (experts if last else 0) + (gates if level >= levels - 2 else 0)
        shared += (0 if last else experts) + (0 if level >= levels - 2 else gates)
    return shared, private
