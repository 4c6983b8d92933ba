"""Hard sharing: one encoder for all tasks, the baseline's."""

import tensorflow as tf

from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.sharing.base import Sharing, encoded_by


class HardSharing(Sharing):
    """All tasks read the same states (Caruana 1997)."""

    def encode(self, features: dict[str, tf.Tensor], task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the encoder's states; the task makes no difference."""
        return encoded_by(self.encoder, features, reads, training)
