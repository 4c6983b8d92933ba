"""How large a sharing structure is, from the encoder's config and what tasks read."""

from dataclasses import dataclass

from transformers import PretrainedConfig

from easytransfer_mtl.encoders.sizes import dense_size, encoder_size, layers_size
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.models.sharing.work import work_of
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.tasks import Task


@dataclass(frozen=True)
class Size:
    """How large a structure is, heads apart.

    Attributes:
        encoder: parameters of the model's encoder: the shared one, or with ``soft`` the first task's.
        shared: other parameters that several tasks move.
        private: parameters that one task alone moves, all tasks together, a first encoder apart.
        work: see ``work_of``.
        kept: layers whose states the backward pass needs, as pairs of a config and a number of layers.
    """

    encoder: int
    shared: int
    private: int
    work: float
    kept: tuple[tuple[PretrainedConfig, int], ...]

    @property
    def total(self) -> int:
        """All parameters but the heads'."""
        return self.encoder + self.shared + self.private


def size_of(architecture: Architecture, config: PretrainedConfig, tasks: tuple[Task, ...]) -> Size:
    """Returns a structure's size.

    Args:
        architecture: with a known structure.
        config: the encoder's.
        tasks: the model's.
    """
    options, width, num_tasks = architecture.sharing_options, config.hidden_size, len(tasks)
    encoder, kept = encoder_size(config), ((config, config.num_hidden_layers),)
    shared = private = 0
    if architecture.sharing == "soft":
        private = (num_tasks - 1) * encoder
    elif architecture.sharing == "shared_private":
        shared, own, more = _private(options, config, num_tasks)
        private, kept = num_tasks * own, kept + more
    elif architecture.sharing == "memory":
        hands = 5 * dense_size(width, width) + dense_size(2 * width, width)
        shared, private = options.memory_slots * width, num_tasks * hands
    elif architecture.sharing in ("mmoe", "ple"):
        shared, private = _experts(architecture, width, num_tasks)
    return Size(encoder, shared, private, work_of(architecture, config, tasks), kept)


def _private(
    options: SharingOptions, config: PretrainedConfig, num_tasks: int
) -> tuple[int, int, tuple[tuple[PretrainedConfig, int], ...]]:
    """Returns the parameters of shared_private that all tasks move, those of one task, and its ``Size.kept``."""
    width, depth = config.hidden_size, options.depth(config.num_hidden_layers)
    if options.private_part == "adapter":
        return 0, depth * (dense_size(width, options.adapter_size) + dense_size(options.adapter_size, width)), ()
    shared = dense_size(width, num_tasks) if options.adversarial_weight > 0 else 0
    if not depth:
        return shared, 0, ()
    if options.private_part == "top":
        inner, own = config, layers_size(config, depth) + dense_size(width, width)
    else:
        inner = small_config(config, depth, options.private_width)
        own = encoder_size(inner)
    if options.combine == "gate":
        own += dense_size(2 * width, width) + (dense_size(inner.hidden_size, width) if inner.hidden_size != width else 0)
    return shared, own, ((inner, depth),)


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
