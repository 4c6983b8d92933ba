"""How tasks share the encoder: one file a structure."""

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.adapters import AdapterSharing
from easytransfer_mtl.models.sharing.base import Sharing
from easytransfer_mtl.models.sharing.experts import Experts
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.memory import SharedMemory
from easytransfer_mtl.models.sharing.shared_private import SharedPrivate
from easytransfer_mtl.models.sharing.soft import SoftSharing
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.tasks import Task

Tasks = tuple[Task, ...]


def _shared_private(encoder: BertEncoder, tasks: Tasks, options: SharingOptions) -> Sharing:
    structure = AdapterSharing if options.private_part == "adapter" else SharedPrivate
    return structure(encoder, tasks, options)


SHARINGS = {
    "hard": lambda encoder, tasks, options: HardSharing(encoder),
    "soft": SoftSharing,
    "shared_private": _shared_private,
    "memory": SharedMemory,
    "mmoe": lambda encoder, tasks, options: Experts(encoder, tasks, options, levels=1, own=0),
    "ple": lambda encoder, tasks, options: Experts(encoder, tasks, options, options.ple_levels, options.task_experts),
}


def make_sharing(architecture: Architecture, encoder: BertEncoder, tasks: Tasks) -> Sharing:
    """Builds the structure that an architecture names.

    Raises:
        UserError: the name is unknown, or its options ask for what the encoder does not have.
    """
    if architecture.sharing not in SHARINGS:
        raise UserError(f"sharing {architecture.sharing!r} is unknown; allowed: {', '.join(SHARINGS)}.")
    return SHARINGS[architecture.sharing](encoder, tasks, architecture.sharing_options)
