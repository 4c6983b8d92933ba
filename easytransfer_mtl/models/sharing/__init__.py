"""How tasks share the encoder: one file a structure."""

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.adapters import AdapterSharing
from easytransfer_mtl.models.sharing.base import Sharing
from easytransfer_mtl.models.sharing.experts import Experts
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.memory import SharedMemory
from easytransfer_mtl.models.sharing.shared_private import SharedPrivate
from easytransfer_mtl.models.sharing.soft import SoftSharing
from easytransfer_mtl.tasks import Task

SHARINGS: dict[str, type[Sharing]] = {
    "hard": HardSharing,
    "soft": SoftSharing,
    "shared_private": SharedPrivate,
    "memory": SharedMemory,
    "mmoe": Experts,
    "ple": Experts,
}


def structure_of(architecture: Architecture) -> type[Sharing]:
    """Returns the class of the structure that an architecture names.

    Raises:
        UserError: the name is unknown.
    """
    name, options = architecture.sharing, architecture.sharing_options
    if name not in SHARINGS:
        raise UserError(f"sharing {name!r} is unknown; allowed: {', '.join(SHARINGS)}.")
    return AdapterSharing if name == "shared_private" and options.private_part == "adapter" else SHARINGS[name]


def make_sharing(architecture: Architecture, encoder: Encoder, tasks: tuple[Task, ...]) -> Sharing:
    """Builds the structure that an architecture names.

    Raises:
        UserError: the name is unknown, or the encoder has too few layers for it.
    """
    structure, options = structure_of(architecture), architecture.sharing_options
    if structure is HardSharing:
        return HardSharing(encoder)
    if structure is Experts:
        levels, own = (1, 0) if architecture.sharing == "mmoe" else (options.ple_levels, options.task_experts)
        return Experts(encoder, tasks, options, levels, own)
    return structure(encoder, tasks, options)
