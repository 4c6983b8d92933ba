"""How much a sharing structure computes in a forward pass, from the encoder's config and what tasks read."""

from typing import NamedTuple

from transformers import PretrainedConfig

from easytransfer_mtl.encoders.sizes import encoder_work, layers_work
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.models.task_parts import task_spec
from easytransfer_mtl.tasks import Task


class _Read(NamedTuple):
    """What is read: layers up to ``highest``, and whether all tokens' states or the pooled output only."""

    highest: int
    tokens: bool


def work_of(architecture: Architecture, config: PretrainedConfig, tasks: tuple[Task, ...]) -> float:
    """Returns the parameters that a token is multiplied by in a forward pass for one task, the mean over the tasks.

    Leaves out what is computed once a row, as the pooler, and for first tokens only, as most of a last layer that the pooler
    alone reads; products of states with states, as attention's; and the tasks' features and heads.

    Args:
        architecture: with a known structure.
        config: the encoder's.
        tasks: the model's.
    """
    last = config.num_hidden_layers
    features = [task_spec(architecture, task).feature for task in tasks]
    reads = [_Read(feature.highest_layer(last), feature.reads_tokens) for feature in features]
    # The shared part of a step is computed before its task is known.
    every = _Read(max(read.highest for read in reads), any(read.tokens for read in reads))
    return sum(_for_task(architecture, config, len(tasks), read, every) for read in reads) / len(reads)


def _for_task(architecture: Architecture, config: PretrainedConfig, num_tasks: int, own: _Read, every: _Read) -> int:
    options, width = architecture.sharing_options, config.hidden_size
    if architecture.sharing == "soft":
        return encoder_work(config, *own)
    if architecture.sharing == "memory":
        writing = width**2 + options.memory_slots * width
        return encoder_work(config) + writing + (4 * width**2 if own.tokens else 0)
    if architecture.sharing == "shared_private" and options.private_part == "adapter":
        return _with_adapters(options, config, own)
    shared = encoder_work(config, *every)
    if architecture.sharing == "shared_private":
        return shared + _private(options, config, own)
    if architecture.sharing in ("mmoe", "ple") and own.tokens:
        return shared + _experts(architecture, width, num_tasks)
    return shared


def _with_adapters(options: SharingOptions, config: PretrainedConfig, own: _Read) -> int:
    """Returns the shared layers' work, those below the first adapter whatever the task reads, and that of the adapters."""
    last = config.num_hidden_layers
    first = last - options.depth(last)
    highest = max(own.highest, min(first, last - 1))
    adapters = max(highest - first - (0 if own.tokens else 1), 0)
    return encoder_work(config, highest, own.tokens) + adapters * 2 * config.hidden_size * options.adapter_size


def _private(options: SharingOptions, config: PretrainedConfig, own: _Read) -> int:
    width, depth = config.hidden_size, options.depth(config.num_hidden_layers)
    if not depth:
        return 0
    inner = config if options.private_part == "top" else small_config(config, depth, options.private_width)
    work = layers_work(config, depth, own.tokens) if inner is config else encoder_work(inner, depth, own.tokens)
    if options.combine == "gate" and own.tokens:
        work += 2 * width**2 + (inner.hidden_size * width if inner.hidden_size != width else 0)
    return work


def _experts(architecture: Architecture, width: int, num_tasks: int) -> int:
    """Returns the work of one task's output: below the last level all tasks' experts, on the last its own."""
    options, ple = architecture.sharing_options, architecture.sharing == "ple"
    levels, own = (options.ple_levels, options.task_experts) if ple else (1, 0)
    size, work = options.expert_size or width, 0
    for level in range(levels):
        inputs, last = width if level == 0 else size, level == levels - 1
        experts = options.experts + own * (1 if last else num_tasks)
        gates = (options.experts + own) * (1 if level >= levels - 2 else num_tasks)
        shared_gate = 0 if last else options.experts + own * num_tasks
        work += inputs * (experts * size + gates + shared_gate)
    return work
