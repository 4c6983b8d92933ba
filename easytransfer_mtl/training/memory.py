"""Estimates a training's memory and compares it with the machine's, before anything is built."""

import logging
from dataclasses import dataclass

from transformers import PretrainedConfig

from easytransfer_mtl.config.options import has_effect, options_of
from easytransfer_mtl.config.train_settings import SharingSettings, TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.machine import GB
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing.parts import small_config
from easytransfer_mtl.runs.memory import SLOTS, count_parameters, shortage, states_bytes
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.plan import RunPlan
from easytransfer_mtl.weighting import ElementWeighting, TaskWeighting

PROGRAM_GB, BRANCHES_GB = 1.1, 0.2
"""For TensorFlow, the data and the compiled graph; for graphs with a branch per task; measured on small encoders."""
DISTANCE_COPIES = 2
"""Values per parameter that the gradient of a distance between encoders needs before it is added up."""
MEAN_COPIES = 3
"""Values per parameter needed to compute the mean of checkpoints, when no gradients exist any more."""


@dataclass(frozen=True)
class Estimate:
    """A rough estimate of the memory that training needs.

    Attributes:
        parameters: number of parameters of the whole model.
        copies: values per parameter: itself, gradients, optimizer slots, moving average.
        states_gb: encoder states kept for the backward pass, 10^9 bytes.
        program_gb: part that does not depend on sizes, 10^9 bytes.
    """

    parameters: int
    copies: int
    states_gb: float
    program_gb: float

    @property
    def gb(self) -> float:
        """The total, 10^9 bytes."""
        return self.program_gb + 4 * self.copies * self.parameters / GB + self.states_gb


def estimate(
    settings: TrainSettings, plan: RunPlan, config: PretrainedConfig, tasks: tuple[Task, ...], length: int
) -> Estimate:
    """Estimates a run's memory.

    Args:
        settings: the configuration.
        plan: the run's steps, batches and architecture.
        config: the encoder's.
        tasks: the model's.
        length: tokens of the longest row.
    """
    parameters = count_parameters(
        lambda: MultiTaskModel(kind_of(config).build(config, DropoutClock(0)), tasks, plan.architecture).weights
    )
    together = (sum(plan.sizes) if plan.order is None else max(plan.sizes)) / settings.num_accumulated_batches
    together *= 2 if settings.rdrop_alpha else 1
    kept = ((config, config.num_hidden_layers), *_private_layers(settings, config))
    states = sum(states_bytes(each, layers, together * length, length, settings.precision) for each, layers in kept) / GB
    branches = 0.0 if settings.sharing == "hard" else BRANCHES_GB
    return Estimate(parameters, _copies(settings, plan.weighting, len(tasks)), states, PROGRAM_GB + branches)


def _private_layers(settings: TrainSettings, config: PretrainedConfig) -> list[tuple[PretrainedConfig, int]]:
    """Returns config and number of the layers that shared_private runs for each task beside the shared ones."""
    depth = settings.private_depth(config.num_hidden_layers)
    if settings.sharing != "shared_private" or settings.private_part == "adapter" or not depth:
        return []
    if settings.private_part == "top":
        return [(config, depth)]
    return [(small_config(config, depth, settings.private_width), depth)]


def check_memory(found: Estimate, settings: TrainSettings) -> None:
    """Logs the estimate; warns if training on a CPU with hard sharing needs more memory than the machine has.

    Raises:
        UserError: another sharing structure needs more memory than the machine has.
    """
    short = shortage(found.gb)
    if not short:
        return
    needs = (
        f"needs about {found.gb:.1f} GB ({found.parameters:,} parameters, {found.copies} numbers each, and "
        f"{found.states_gb:.1f} GB of states); {short}. Lower --train_batch_size or convert's --sequence_length"
    )
    if settings.sharing == "hard":
        logging.warning("training %s, or take a smaller encoder.", needs)
        return
    sizes = [item for item in options_of(SharingSettings).values() if item.kind is int and has_effect(item, settings)]
    names = "".join(f", --{item.name}" for item in sizes)
    raise UserError(f"sharing {settings.sharing} {needs}{names}, take a smaller encoder, or set --sharing=hard.")


def _copies(settings: TrainSettings, weighting: TaskWeighting, num_tasks: int) -> int:
    """Returns the values held at once per parameter: itself, gradients, optimizer slots, moving average.

    The clean gradients are kept while those of an attack are computed.
    """
    gradients = 1 + (settings.num_accumulated_batches > 1) + (settings.adversarial != "none")
    of_all = weighting.needs_gram and (settings.gram_variables or weighting.gram_variables) == "all"
    by_element = isinstance(weighting, ElementWeighting)
    if of_all or by_element or (settings.step_mode == "joint" and settings.num_accumulated_batches > 1):
        gradients += num_tasks * (weighting.num_batches or 1)
    if settings.sharing == "soft" and settings.soft_weight > 0:
        gradients += DISTANCE_COPIES
    kept = 1 + SLOTS[settings.optimizer] + (settings.ema_decay > 0)
    if isinstance(weighting, ElementWeighting):
        kept += num_tasks * weighting.kept_per_task
    return kept + max(gradients, MEAN_COPIES if settings.swa_checkpoints else 0)
