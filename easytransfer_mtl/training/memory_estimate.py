"""What a run's parameters and states will take, told and compared with the machine before anything is built."""

import logging
import math
from dataclasses import dataclass, replace

from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.sizes import kept_per_token
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.features import parse_features
from easytransfer_mtl.models.sharing.sizes import Size, size_of
from easytransfer_mtl.models.sharing_options import SIZES, options_read
from easytransfer_mtl.runs.memory import GB, NUMBER_BYTES, shortage, tell_memory
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import TaskWeighting

PROGRAM_GB, BRANCHES_GB = 1.1, 0.2
"""TensorFlow, the data and the compiled graph, and what a branch of it for every task takes; measured on small encoders."""
DISTANCE_COPIES = 2
"""Numbers a parameter that the gradient of a distance between encoders takes before it is added up."""
MEAN_COPIES = 3
"""Numbers a parameter that the mean of checkpoints takes while it is worked out, when there are no gradients any more."""
SLOTS = {"adam": 2, "lamb": 2, "adagrad": 1, "adadelta": 2}


@dataclass(frozen=True)
class Estimate:
    """What training needs, in 10^9 bytes.

    Attributes:
        size: the parameters.
        hard: those of hard sharing in its place.
        tables: those of the tasks' own tables of n-grams.
        copies: numbers a parameter: itself, its gradients, the optimizer's, its averages.
        states_gb: what the backward pass keeps.
        program_gb: what does not depend on sizes.
    """

    size: Size
    hard: Size
    tables: int
    copies: int
    states_gb: float
    program_gb: float

    @property
    def parameters(self) -> int:
        """All of them but other features' and the heads', which are small."""
        return self.size.total + self.tables

    @property
    def gb(self) -> float:
        """All of it."""
        return self.program_gb + 4 * self.copies * self.parameters / GB + self.states_gb


def estimate(
    settings: TrainSettings,
    architecture: Architecture,
    config: PretrainedConfig,
    weighting: TaskWeighting,
    tasks: tuple[Task, ...],
    rows: list[int],
    length: int,
) -> Estimate:
    """Estimates a run's memory, roughly.

    Args:
        settings: the configuration.
        architecture: what the model is made of.
        config: the encoder's.
        weighting: the run's; those of the Gram matrix keep a gradient for each task.
        tasks: the model's.
        rows: of each task's batch.
        length: tokens of the longest row.
    """
    size, hard = (size_of(made, config, tasks) for made in (architecture, replace(architecture, sharing="hard")))
    kept = 1 + SLOTS[settings.optimizer] + (settings.ema_decay > 0)
    passing = max(_gradients(settings, architecture, weighting, len(rows)), MEAN_COPIES if settings.swa_checkpoints else 0)
    together = sum(rows) if settings.step_mode == "joint" else max(rows) / settings.num_accumulated_batches
    together *= 2 if settings.rdrop_alpha else 1
    number = NUMBER_BYTES[settings.precision]
    states = number * together * length * sum(layers * kept_per_token(each, length) for each, layers in size.kept)
    program = PROGRAM_GB + (BRANCHES_GB if architecture.sharing != "hard" else 0.0)
    return Estimate(size, hard, _tables(architecture), kept + passing, states / GB, program)


def _gradients(settings: TrainSettings, architecture: Architecture, weighting: TaskWeighting, num_tasks: int) -> int:
    """Returns how many gradients of a parameter there are at once; those of an attack come while the clean ones wait."""
    gradients = 1 + (settings.num_accumulated_batches > 1) + (settings.adversarial != "none")
    if weighting.needs_gram and (settings.gram_variables or weighting.gram_variables) == "all":
        gradients += num_tasks
    if architecture.sharing == "soft" and settings.soft_weight > 0:
        gradients += DISTANCE_COPIES
    return gradients


def _tables(architecture: Architecture) -> int:
    """Returns the numbers in the tables of n-grams that tasks read."""
    specs = [parse_features(text, f"features {name.lower()}") for name, text in architecture.features.items()]
    return sum(math.prod(part.sizes) for spec in specs for part in spec.parts if part.sizes)


def tell(found: Estimate, architecture: Architecture) -> None:
    """Logs parameters, work and memory, beside those of hard sharing."""
    size, hard = found.size, found.hard
    logging.info(
        "sharing: %s, %s parameters: encoder %s, shared beside it %s, private %s, heads apart",
        architecture.sharing, *(f"{count:,}" for count in (size.total, size.encoder, size.shared, size.private)),
    )  # fmt: skip
    tell_memory(found.gb)
    if architecture.sharing != "hard":
        # Tasks that read the embeddings alone multiply them by nothing.
        products = f"{size.work / hard.work:.2f} x the products of a step, " if hard.work else ""
        parameters = f"{size.total / hard.total:.2f} x the parameters that the optimizer moves"
        logging.info("against hard sharing: %s%s", products, parameters)


def check_memory(found: Estimate, architecture: Architecture) -> None:
    """Warns that a run needs more memory than there is, on a CPU.

    Raises:
        UserError: it does, and its structure is not the original's.
    """
    short = shortage(found.gb)
    if not short:
        return
    needs = (
        f"needs about {found.gb:.1f} GB ({found.parameters:,} parameters, {found.copies} numbers each, and "
        f"{found.states_gb:.1f} GB of states); {short}. Lower --train_batch_size or convert's --sequence_length"
    )
    if architecture.sharing == "hard":
        logging.warning("training %s, or take a smaller encoder.", needs)
        return
    read = options_read(architecture.sharing, architecture.sharing_options.private_part)
    sizes = "".join(f", --{name}" for name in read if name in SIZES)
    raise UserError(f"sharing {architecture.sharing} {needs}{sizes}, take a smaller encoder, or set --sharing=hard.")
