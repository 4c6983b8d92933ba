"""Base class of sharing structures, and functions that several structures use."""

from abc import abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.encoded import LAYERS, POOLED, SEQUENCE, Encoded, Reads, inputs_of
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.tasks import Task

Features = dict[str, tf.Tensor]


class Sharing(tf_keras.layers.Layer):
    """Encodes a batch for a task: ``trunk`` computes the part common to all tasks, ``branch`` the rest for one task.

    Attributes:
        encoder: the model's encoder, which all tasks share, or which is the first task's; the model owns its variables.
        width: of the states that tasks read.
        encodes_apart: whether tasks read different states of one batch, so that a step encodes for its task only.
        has_penalty: whether training adds a penalty to the weighted loss.
        delivers: encoder outputs that tasks may read.
        starts_as_hard: whether the pooled output initially equals the encoder's, so that a checkpoint's head fits.
        role: describes how tasks use the encoder, for readers of an exported folder that contains the encoder only.
    """

    encodes_apart = False
    starts_as_hard = True
    role = "shared by all tasks, which read it through parts of the structure (sharing/... in heads.safetensors)"
    has_penalty = False
    delivers: Reads = frozenset({POOLED, SEQUENCE, LAYERS})

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Takes the shared encoder, the model's tasks, and the structure's settings.

        Raises:
            UserError: the structure does not work with this encoder.
        """
        super().__init__(name="sharing")
        self.__dict__["encoder"] = encoder  # bypasses Keras's tracking: the model tracks its variables
        self.__dict__["_held"] = []
        self.width: int = encoder.config.hidden_size

    def encode(self, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the batch encoded for a task.

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            task: index of the task among the model's tasks.
            reads: the requested encoder outputs.
            training: whether dropout is on.

        Raises:
            UserError: the structure does not deliver a requested output.
        """
        self.check_reads(reads)
        trunk = self._held[-1] if self._held else self.trunk(features, reads, training)
        return self.branch(trunk, features, task, reads, training)

    @contextmanager
    def one_trunk(self, features: Features, reads: Reads, training: bool) -> Iterator[None]:
        """Computes the trunk of a batch once for all calls of ``encode`` inside the block, which must be for this batch.

        Args:
            features: the batch.
            reads: union of the ``reads`` of these calls.
            training: whether dropout is on.
        """
        self.check_reads(reads)
        self._held.append(self.trunk(features, reads, training))
        try:
            yield
        finally:
            self._held.pop()

    def check_reads(self, reads: Reads) -> None:
        """Raises UserError if the structure does not deliver a requested output."""
        missing = sorted(reads - self.delivers)
        if missing:
            raise UserError(
                f"This sharing structure ({type(self).__name__}) does not deliver {', '.join(missing)}, only "
                f"{', '.join(sorted(self.delivers))}; change what tasks read, or --sharing."
            )

    def encoded(self, features: Features, reads: Reads, training: bool) -> Encoded:
        """Returns the shared encoder's outputs that ``reads`` requests, without computing others."""
        return encoded_by(self.encoder, features, reads, training)

    def trunk(self, features: Features, reads: Reads, training: bool) -> Any:
        """Returns the task-independent value that ``branch`` needs; None by default."""
        return None

    @classmethod
    def chosen(cls, settings: SharingSettings) -> type["Sharing"]:
        """Returns the class that implements the structure with these settings; by default this class."""
        return cls

    @classmethod
    def delivered(cls, settings: SharingSettings) -> Reads:
        """Returns the encoder outputs that the structure delivers with these settings."""
        return cls.delivers

    @abstractmethod
    def branch(self, trunk: Any, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Returns the value of ``encode``, given the batch's trunk."""

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Makes parts that no task reads untrainable, by default in the shared encoder; takes each task's feature."""
        leave_unread(self.encoder, features)

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the structure's trainable variables that only this task's loss updates."""
        return []

    def private_depths(self) -> list[tuple[tf.Variable, int]]:
        """Returns the variables of copied encoder layers, each with its layer's depth, see ``Encoder.depth_of``."""
        return []


def encoded_by(encoder: Encoder, features: Features, reads: Reads, training: bool) -> Encoded:
    """Returns an encoder's outputs that ``reads`` requests, without computing others."""
    inputs = inputs_of(features)
    pooled, sequence = None, None
    layers: tuple[tf.Tensor, ...] = ()
    if LAYERS in reads:
        layers = tuple(encoder.hidden_states(*inputs, training=training))
        sequence = layers[-1]
        pooled = encoder.pooler(sequence)
    elif SEQUENCE in reads:
        sequence, pooled = encoder.encode(*inputs, training=training)
    else:
        pooled = encoder.pooled_output(*inputs, training=training)
    return Encoded(*inputs, pooled, sequence, layers, tf.constant(0.0))


def read_part(features: list[FeatureSpec], num_layers: int) -> tuple[bool, int]:
    """Returns whether any task reads the pooler's output, and the highest layer that any task reads."""
    highest = max(feature.highest_layer(num_layers) for feature in features)
    return any(feature.reads_pooled for feature in features), highest


def leave_unread(encoder: Encoder, features: list[FeatureSpec], tied: Collection[str] = ()) -> None:
    """Makes the pooler and upper layers untrainable if no task reads them; weight decay would only shrink them.

    Args:
        encoder: the encoder.
        features: of the tasks that read it.
        tied: parts that stay trainable because a distance to other encoders updates them: ``pooler``, ``0``, ``1``, ...
    """
    reads_pooled, highest = read_part(features, encoder.config.num_hidden_layers)
    if not reads_pooled and "pooler" not in tied:
        encoder.pooler.trainable = False
    for number, layer in enumerate(encoder.own_layers):
        if number >= highest and str(number) not in tied:
            layer.trainable = False
