"""What no task reads of the encoder."""

from collections.abc import Collection

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models.features import FeatureSpec


def read_part(features: list[FeatureSpec], num_layers: int) -> tuple[bool, int]:
    """Returns whether any task reads the pooler, and the highest layer that any reads."""
    highest = max(feature.highest_layer(num_layers) for feature in features)
    return any(feature.reads_pooled for feature in features), highest


def leave_unread(encoder: Encoder, features: list[FeatureSpec], tied: Collection[str] = ()) -> None:
    """Takes pooler and upper layers that no task reads out of training, where decay would only shrink them.

    Args:
        encoder: the encoder.
        features: of the tasks that read it.
        tied: parts that a distance to other encoders moves, whoever reads them: ``pooler``, ``0``, ``1``, ...
    """
    reads_pooled, highest = read_part(features, encoder.config.num_hidden_layers)
    if not reads_pooled and "pooler" not in tied:
        encoder.pooler.trainable = False
    for number, layer in enumerate(encoder.own_layers):
        if number >= highest and str(number) not in tied:
            layer.trainable = False
