"""Hard sharing: one encoder for all tasks, as in the baseline."""

from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.sharing.base import Features, Sharing, encoded_by


class HardSharing(Sharing):
    """All tasks read the same states (Caruana 1997)."""

    role = "shared by all tasks, which read it as it is"

    def trunk(self, features: Features, reads: Reads, training: bool) -> Encoded:
        """Returns the shared encoder's requested outputs."""
        return encoded_by(self.encoder, features, reads, training)

    def branch(self, trunk: Encoded, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the trunk, whatever the task."""
        return trunk
