"""Shared-private sharing: a shared encoder and a private part for each task."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.transformer import run_layer
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.encoded import POOLED, SEQUENCE, Encoded, Reads, inputs_of
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.models.sharing.adapters import AdapterSharing
from easytransfer_mtl.models.sharing.base import Features, Sharing, encoded_by
from easytransfer_mtl.models.sharing.hard import HardSharing
from easytransfer_mtl.models.sharing.parts import dense, embedded, top_output
from easytransfer_mtl.models.sharing.penalties import TaskAdversary, overlap, row_states
from easytransfer_mtl.models.sharing.private_parts import PrivateEncoder, PrivateTop, Trunk
from easytransfer_mtl.tasks import Task

PRIVATE_ROLE = "shared by all tasks; each reads a private part beside it (sharing/private_... in heads.safetensors)"


class Gate(tf_keras.layers.Layer):
    """g * shared + (1 - g) * private with g = sigmoid(W [shared; private] + b), elementwise."""

    def __init__(self, path: str, shared: int, private: int, clock: DropoutClock) -> None:
        """Takes its path below ``sharing/``, both widths, and the clock; a dense layer adapts a differing private width."""
        super().__init__(name=f"{path}_gate")
        self.widen = None if private == shared else dense(f"{path}/widen", private, shared, clock)
        self.gate = dense(f"{path}/gate", 2 * shared, shared, clock, "sigmoid")

    def mixed(self, shared: tf.Tensor, private: tf.Tensor) -> tf.Tensor:
        """Returns the gated mixture [..., H]."""
        private = private if self.widen is None else self.widen(private)
        opened = self.gate(tf.concat([shared, private], axis=-1))
        return opened * shared + (1.0 - opened) * private


class SharedPrivate(Sharing):
    """Liu, Qiu and Huang (ACL 2017, "Adversarial Multi-task Learning for Text Classification"), with BERT instead of LSTMs.

    A task's head reads the concatenation of the shared and its private states (``concat``), or their elementwise mixture by
    a gate that depends on both (``gate``; a dense layer widens a narrower private part first). The private part is a copy of
    the top layers, run on the shared states below them, or a small encoder. The penalty is orthogonality_weight *
    ``overlap`` of one vector per row (``row_states``), plus the discriminator's loss.

    Differences from the paper: its private LSTMs are as large as the shared one; its orthogonality loss neither scales
    rows to length 1 nor divides by the batch size.

    Pitfall: private top layers start as copies, so that the overlap starts close to 1, its maximum.
    """

    delivers = frozenset({POOLED, SEQUENCE})

    def __init__(self, encoder: Encoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Builds the private parts; ``private_layers`` 0 builds none, which is hard sharing.

        Raises:
            UserError: the private part is to copy more layers than the encoder has.
        """
        super().__init__(encoder, tasks, settings)
        config, clock = encoder.config, encoder.clock
        self.delivers = self.delivered(settings)
        depth = settings.private_depth(config.num_hidden_layers)
        self.shared_depth = depth if settings.private_part == "top" else 0
        if self.shared_depth > config.num_hidden_layers:
            raise UserError(f"private_layers is {depth}; the encoder has {config.num_hidden_layers} layers.")
        self.private: list[PrivateTop | PrivateEncoder] = []
        for task in tasks if depth else ():
            name = f"private_{task.scope}"
            if settings.private_part == "top":
                self.private.append(PrivateTop(name, encoder, depth))
            else:
                self.private.append(PrivateEncoder(name, encoder, depth, settings.private_width))
        self.starts_as_hard = not self.private
        self.role = PRIVATE_ROLE if self.private else HardSharing.role
        shared_width, self.gates = self.width, []
        if self.private and settings.combine == "gate":
            width = self.private[0].width
            self.gates = [Gate(task.scope, shared_width, width, clock) for task in tasks]
        elif self.private:
            self.width += self.private[0].width
        self.adversary = None
        if settings.adversarial_weight > 0:
            self.adversary = TaskAdversary(shared_width, len(tasks), settings.adversarial_weight, clock)
        self.orthogonality_weight = settings.orthogonality_weight if self.private else 0.0
        self.has_penalty = self.orthogonality_weight > 0 or self.adversary is not None
        self.encodes_apart = bool(self.private) or self.adversary is not None

    @classmethod
    def chosen(cls, settings: SharingSettings) -> type[Sharing]:
        """Returns ``AdapterSharing`` if the private part is an adapter, else this class."""
        return AdapterSharing if settings.private_part == "adapter" else cls

    @classmethod
    def delivered(cls, settings: SharingSettings) -> Reads:
        """Returns the outputs of hard sharing if ``private_layers`` is 0, else ``POOLED`` and ``SEQUENCE``: private parts
        have no counterpart of the lower layers."""
        return HardSharing.delivers if settings.private_layers == 0 else cls.delivers

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the variables of the task's private part and gate."""
        if not self.private:
            return []
        layers = [self.private[task], *self.gates[task : task + 1]]
        return [variable for layer in layers for variable in layer.trainable_variables]

    def private_depths(self) -> list[tuple[tf.Variable, int]]:
        """Returns the variables of private top layers with their depths; private encoders are no copies."""
        return [pair for part in self.private if isinstance(part, PrivateTop) for pair in part.depths]

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Makes parts of the shared encoder that no task reads, and private poolers that are not read, untrainable."""
        super().leave_unread(features)
        for part, feature in zip(self.private, features):
            part.pooler.trainable = feature.reads_pooled

    def trunk(self, features: Features, reads: Reads, training: bool) -> Trunk:
        """Runs the shared encoder, and keeps the flat states below the private top layers."""
        if not self.shared_depth:
            return Trunk(encoded_by(self.encoder, features, reads, training))
        layers, top = self.encoder.encoder.layer, self.shared_depth
        states, layout = embedded(self.encoder, features, training)
        for layer in layers[:-top]:
            states = run_layer(layer, states, layout, training)
        pooled, sequence = top_output(layers[-top:], self.encoder.pooler, states, layout, reads, training)
        return Trunk(Encoded(*inputs_of(features), pooled, sequence, (), tf.constant(0.0)), states, layout)

    def branch(self, trunk: Trunk, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Combines the shared and the task's private outputs."""
        shared = trunk.shared
        private = self.private[task].encode(trunk, features, reads, training) if self.private else None
        penalty = self._penalty(shared, private, task, reads) if training else shared.penalty
        if private is None:
            return shared._replace(penalty=penalty)
        pooled, sequence = (
            None if own is None else self._join(task, common, own)
            for common, own in ((shared.pooled, private.pooled), (shared.sequence, private.sequence))
        )
        return shared._replace(pooled=pooled, sequence=sequence, penalty=penalty)

    def _join(self, task: int, shared: tf.Tensor, private: tf.Tensor) -> tf.Tensor:
        return self.gates[task].mixed(shared, private) if self.gates else tf.concat([shared, private], axis=-1)

    def _penalty(self, shared: Encoded, private: Encoded | None, task: int, reads: Reads) -> tf.Tensor:
        penalty = tf.constant(0.0)
        if self.orthogonality_weight > 0 and private is not None:
            penalty += self.orthogonality_weight * overlap(row_states(shared, reads), row_states(private, reads))
        return penalty if self.adversary is None else penalty + self.adversary.loss(row_states(shared, reads), task)
