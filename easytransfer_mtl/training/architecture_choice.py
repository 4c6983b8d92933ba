"""A run's settings to the architecture of its model."""

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.models.architecture import Architecture


def choose_architecture(settings: TrainSettings) -> Architecture:
    """Returns what the model is made of.

    Args:
        settings: the configuration.
    """
    return Architecture(head_dropout=settings.head_dropout)
