"""A run's settings to the architecture of its model."""

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.training.sharing_choice import sharing_options


def choose_architecture(settings: TrainSettings) -> Architecture:
    """Returns what the model is made of.

    Args:
        settings: the configuration.
    """
    return Architecture(settings.sharing, settings.head_dropout, sharing_options(settings))
