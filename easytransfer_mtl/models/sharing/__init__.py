"""Sharing structures: how tasks share the encoder; one file per structure."""

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.models.sharing.base import Sharing
from easytransfer_mtl.models.sharing.experts import Mmoe, Ple
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.shared_memory import SharedMemory
from easytransfer_mtl.models.sharing.shared_private import SharedPrivate
from easytransfer_mtl.models.sharing.soft import SoftSharing
from easytransfer_mtl.own_code import own_class

SHARINGS: dict[str, type[Sharing]] = {
    "hard": HardSharing,
    "soft": SoftSharing,
    "shared_private": SharedPrivate,
    "memory": SharedMemory,
    "mmoe": Mmoe,
    "ple": Ple,
}


def structure_of(settings: SharingSettings) -> type[Sharing]:
    """Returns the class of the structure that the settings name.

    Raises:
        UserError: a user-defined class cannot be imported.
    """
    return (SHARINGS.get(settings.sharing) or own_class(settings.sharing, Sharing, "sharing")).chosen(settings)
