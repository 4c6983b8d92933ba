"""What every sharing structure tells and does."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.encoded import LAYERS, POOLED, SEQUENCE, Encoded, Reads, inputs_of
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.models.unread import leave_unread

Features = dict[str, tf.Tensor]


class Sharing(tf_keras.layers.Layer):
    """Encodes a batch for a task: ``trunk`` computes what all tasks read, ``branch`` the rest for one task.

    Attributes:
        encoder: the encoder that all tasks share, or the first task's; the model's, which owns its variables.
        width: of the states that tasks read.
        encodes_apart: whether tasks read different states of one batch, so that a step encodes for its task alone.
        has_penalty: whether training adds a penalty to the weighted loss.
        delivers: what tasks may read.
        starts_as_hard: whether pooled output starts as the encoder's own, so that a head of the original's fits.
        role: what the encoder is to the tasks, in a sentence, for who finds it alone in an exported folder.
    """

    encodes_apart = False
    starts_as_hard = True
    role = "shared by all tasks, which read it through parts of the structure (sharing/... in heads.safetensors)"
    has_penalty = False
    delivers: Reads = frozenset({POOLED, SEQUENCE, LAYERS})

    def __init__(self, encoder: Encoder) -> None:
        """Takes the shared encoder."""
        super().__init__(name="sharing")
        self.__dict__["encoder"] = encoder  # past Keras's tracking: its variables are the model's
        self.__dict__["_held"] = []
        self.width: int = encoder.config.hidden_size

    def encode(self, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns what the task reads of a batch.

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            task: its place among the model's tasks.
            reads: what is wanted.
            training: whether dropout is on.

        Raises:
            UserError: something of it is not delivered.
        """
        self.check_reads(reads)
        trunk = self._held[-1] if self._held else self.trunk(features, reads, training)
        return self.branch(trunk, features, task, reads, training)

    @contextmanager
    def one_trunk(self, features: Features, reads: Reads, training: bool) -> Iterator[None]:
        """Computes the trunk of a batch once for all calls of ``encode`` in the block, which must be of this batch.

        Args:
            features: the batch.
            reads: all that these calls want.
            training: whether dropout is on.
        """
        self.check_reads(reads)
        self._held.append(self.trunk(features, reads, training))
        try:
            yield
        finally:
            self._held.pop()

    def check_reads(self, reads: Reads) -> None:
        """Raises UserError if something of what is wanted is not delivered."""
        missing = sorted(reads - self.delivers)
        if missing:
            raise UserError(
                f"This sharing structure ({type(self).__name__}) does not deliver {', '.join(missing)}, only "
                f"{', '.join(sorted(self.delivers))}; change what tasks read, or --sharing."
            )

    def trunk(self, features: Features, reads: Reads, training: bool) -> Any:
        """Returns what ``branch`` takes of a batch, whatever the task; nothing by default."""
        return None

    @classmethod
    def delivered(cls, options: SharingOptions) -> Reads:
        """Returns what tasks may read of the structure with these options."""
        return cls.delivers

    @abstractmethod
    def branch(self, trunk: Any, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns what ``encode`` does, from the batch's trunk."""

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Takes out of training what no task reads, given each task's feature in order; by default of the shared encoder."""
        leave_unread(self.encoder, features)

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables that this task alone moves, its features and head apart."""
        return []

    def private_depths(self) -> list[tuple[tf.Variable, int]]:
        """Returns the variables of copies of the encoder's layers, each with its layer's depth, see ``Encoder.depth_of``."""
        return []


def encoded_by(encoder: Encoder, features: Features, reads: Reads, training: bool) -> Encoded:
    """Returns what is wanted of one encoder, computing no more than that needs."""
    inputs = inputs_of(features)
    pooled, sequence, layers = None, None, ()
    if LAYERS in reads:
        layers = tuple(encoder.hidden_states(*inputs, training=training))
        sequence = layers[-1]
        pooled = encoder.pooler(sequence)
    elif SEQUENCE in reads:
        sequence, pooled = encoder.encode(*inputs, training=training)
    else:
        pooled = encoder.pooled_output(*inputs, training=training)
    return Encoded(*inputs, pooled, sequence, layers, tf.constant(0.0))
