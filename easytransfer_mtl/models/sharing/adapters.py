"""Adapters: small task-specific layers inside the shared encoder."""

from typing import NamedTuple

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.transformer import Layout, run_layer
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.encoded import LAYERS, SEQUENCE, Encoded, Reads, inputs_of
from easytransfer_mtl.models.features import FeatureSpec
from easytransfer_mtl.models.sharing.base import Features, Sharing
from easytransfer_mtl.models.sharing.parts import as_rows, dense, embedded
from easytransfer_mtl.tasks import Task


class Adapter(tf_keras.layers.Layer):
    """states + up(gelu(down(states))); ``up`` starts at 0, so that the adapter starts as the identity."""

    def __init__(self, path: str, width: int, size: int, clock: DropoutClock) -> None:
        """Takes its path below ``sharing/``, the states' width, the bottleneck's width, and the clock."""
        super().__init__(name=path.replace("/", "_"))
        self.down = dense(f"{path}/down", width, size, clock, "gelu")
        self.up = dense(f"{path}/up", size, width, clock, stddev=0.0)

    def adapted(self, states: tf.Tensor) -> tf.Tensor:
        """Returns the adapted states; ``states`` is [T, H] in any floating-point format, which the result keeps."""
        return states + tf.cast(self.up(self.down(tf.cast(states, tf.float32))), states.dtype)


class Trunk(NamedTuple):
    """The part below the first adapter: the flat states of the embeddings and of every layer, and their layout."""

    states: list[tf.Tensor]
    layout: Layout


class AdapterSharing(Sharing):
    """Houlsby et al. (ICML 2019, "Parameter-Efficient Transfer Learning for NLP"), but the shared layers are trained too.

    A task's states are computed by the shared layers with its adapters in between. They replace the shared states, so that
    nothing has to be combined. One adapter follows each layer; the paper has one in each of a layer's two sublayers.
    Freezing the layers (``num_freezed_layers``) does not freeze the adapters; that is how the paper uses them.
    """

    encodes_apart = True

    def __init__(self, encoder: BertEncoder, tasks: tuple[Task, ...], settings: SharingSettings) -> None:
        """Builds the adapters.

        Raises:
            UserError: the settings ask for more adapters than the encoder has layers.
        """
        super().__init__(encoder, tasks, settings)
        num_layers = encoder.config.num_hidden_layers
        depth = settings.private_depth(num_layers)
        if depth > num_layers:
            raise UserError(f"private_layers is {depth}; the encoder has {num_layers} layers.")
        self.first = num_layers - depth
        self.adapters = [
            [
                Adapter(f"{task.scope}/adapter_{number}", self.width, settings.adapter_size, encoder.clock)
                for number in range(self.first, num_layers)
            ]
            for task in tasks
        ]
        self.encodes_apart = depth > 0

    def private_variables(self, task: int) -> list[tf.Variable]:
        """Returns the variables of the task's adapters."""
        return [variable for adapter in self.adapters[task] for variable in adapter.trainable_variables]

    def leave_unread(self, features: list[FeatureSpec]) -> None:
        """Makes encoder parts that no task reads, and adapters above the highest layer their task reads, untrainable."""
        super().leave_unread(features)
        for adapters, feature in zip(self.adapters, features):
            highest = feature.highest_layer(self.encoder.config.num_hidden_layers)
            for adapter in adapters[max(0, highest - self.first) :]:
                adapter.trainable = False

    def trunk(self, features: Features, reads: Reads, training: bool) -> Trunk:
        """Runs the layers below the first adapter, except the encoder's last one."""
        states, layout = embedded(self.encoder, features, training)
        found = [states]
        for layer in self.encoder.encoder.layer[: self._below]:
            found.append(run_layer(layer, found[-1], layout, training))
        return Trunk(found, layout)

    @property
    def _below(self) -> int:
        """Number of layers in the trunk. The last layer always belongs to the branch, where the task's ``reads`` decide
        whether it runs for the first tokens only."""
        return min(self.first, self.encoder.config.num_hidden_layers - 1)

    def branch(self, trunk: Trunk, features: Features, task: int, reads: Reads, training: bool) -> Encoded:
        """Runs the remaining layers with the task's adapters."""
        found, layout, layers = list(trunk.states), trunk.layout, self.encoder.encoder.layer
        whole = bool({SEQUENCE, LAYERS} & reads)
        for number in range(self._below, len(layers)):
            first_only = not whole and number == len(layers) - 1
            states = run_layer(layers[number], found[-1], layout, training, first_only)
            adapted = number >= self.first
            found.append(self.adapters[task][number - self.first].adapted(states) if adapted else states)
        inputs, nothing = inputs_of(features), tf.constant(0.0)
        if not whole:
            pooled = self.encoder.pooler(tf.cast(found[-1], tf.float32)[:, tf.newaxis])
            return Encoded(*inputs, pooled, None, (), nothing)
        every = tuple(as_rows(states, layout) for states in (found if LAYERS in reads else found[-1:]))
        return Encoded(*inputs, self.encoder.pooler(every[-1]), every[-1], every if LAYERS in reads else (), nothing)
