"""What single tasks have of a model: the feature that a task reads, its dropout, its head."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.encoded import Encoded
from easytransfer_mtl.models.features import Feature, FeatureSpec, PartDropout, parse_features
from easytransfer_mtl.models.heads import DENSE, HEADS, Head, HeadFacts, HeadSpec, parse_head
from easytransfer_mtl.tasks import Task

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel


class TaskSpec(NamedTuple):
    """A task's feature and head as an architecture names them."""

    feature: FeatureSpec
    head: HeadSpec


def task_spec(architecture: Architecture, task: Task) -> TaskSpec:
    """Returns what an architecture has for a task.

    Raises:
        UserError: it names what there is not, or the head does not fit what the task reads.
    """
    name = task.name.lower()
    head = parse_head(architecture.heads.get(task.name, DENSE), f"heads {name}")
    default = "sequence" if head.head.reads_sequence else "pooled"
    feature = parse_features(architecture.features.get(task.name, default), f"features {name}")
    fitting = ", ".join(kind for kind, made in HEADS.items() if made.reads_sequence == feature.is_sequence)
    if head.head.reads_sequence and not feature.is_sequence:
        raise UserError(
            f"heads {name}={head.text} reads a state per token, but features {name}={feature.text} is one vector per row. "
            f"Set --features={name}=sequence (or last4.sequence, mix.sequence), leave {name} out of --features, or take one "
            f"of the heads {fitting}."
        )
    if feature.is_sequence and not head.head.reads_sequence:
        raise UserError(
            f"features {name}={feature.text} is a state per token, but heads {name}={head.text} reads one vector per row. "
            f"Set --features={name}=mean, or take one of the heads {fitting}, for instance --heads={name}=bilstm."
        )
    return TaskSpec(feature, head)


def make_head(architecture: Architecture, task: Task, width: int, clock: DropoutClock) -> Head:
    """Builds a task's head on what it reads, which is so wide."""
    _, head = task_spec(architecture, task)
    name = task.head_name if head.kind == DENSE else f"{task.name.lower()}_{head.kind}"
    rate = architecture.dropout_of(task.name)
    return head.head(HeadFacts(name, width, task.num_labels, rate, head.size, head.activation, clock))


def make_dropout(architecture: Architecture, task: Task, common: SeededDropout, clock: DropoutClock) -> SeededDropout:
    """Returns the dropout of what a task reads: the tasks' common one unless the task has a rate of its own."""
    rate = architecture.dropout_of(task.name)
    return common if rate == common.rate else SeededDropout(rate, f"features/{task.name.lower()}", clock)


def make_part_dropout(rate: float, task: Task, feature: Feature, clock: DropoutClock) -> PartDropout | None:
    """Returns the dropout of whole parts of what a task reads, if it has any."""
    widths = [part.width for part in feature.parts]
    return PartDropout(widths, rate, task.name.lower(), clock) if rate else None


class HeadRuns:
    """The heads on one encoded batch; what several tasks read is computed once."""

    def __init__(self, model: "MultiTaskModel", encoded: Encoded, training: bool) -> None:
        """Takes the model, the batch, and whether dropout is on."""
        self._model, self._encoded, self._training = model, encoded, training
        self._values: dict[int, tf.Tensor] = {}
        self._dropped: dict[tuple[int, ...], tf.Tensor] = {}

    def logits(self, task: int) -> tf.Tensor:
        """Returns a task's logits [B, C]; of multi-sample dropout in training [M, B, C]."""
        head = self._model.heads[self._model.tasks[task].logits_name]
        if not isinstance(head, Head):  # a subclass's own layer
            return head(self._dropped_value(task))
        value = self._value(task) if head.drops_itself else self._dropped_value(task)
        return head(value, self._encoded.input_mask, training=self._training)

    def _value(self, task: int) -> tf.Tensor:
        feature: Feature = self._model.features[task]
        if id(feature) not in self._values:
            self._values[id(feature)] = feature.read(self._encoded)
        value, parts = self._values[id(feature)], self._model.part_dropouts[task]
        return value if parts is None else parts(value, training=self._training)

    def _dropped_value(self, task: int) -> tf.Tensor:
        dropout = self._model.dropouts[task]
        key = id(self._model.features[task]), id(self._model.part_dropouts[task]), id(dropout)
        if key not in self._dropped:
            self._dropped[key] = dropout(self._value(task), training=self._training)
        return self._dropped[key]
