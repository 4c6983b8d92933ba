"""How tasks share the encoder: one file a structure."""

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.sharing.base import Sharing
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.tasks import Task

SHARINGS = {"hard": HardSharing}


def make_sharing(architecture: Architecture, encoder: Encoder, tasks: tuple[Task, ...]) -> Sharing:
    """Builds the structure that an architecture names.

    Raises:
        UserError: the name is unknown.
    """
    if architecture.sharing not in SHARINGS:
        raise UserError(f"sharing {architecture.sharing!r} is unknown; allowed: {', '.join(SHARINGS)}.")
    return SHARINGS[architecture.sharing](encoder)
