"""The multi-task model; by default the baseline: one encoder, pooled output, dropout, one dense layer per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any, Protocol

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.encoded import Encoded, Reads
from easytransfer_mtl.models.features import Feature, FeatureMaker, PartDropout, check_features
from easytransfer_mtl.models.heads import DENSE, Head, HeadFacts, HeadSpec
from easytransfer_mtl.models.sharing import structure_of
from easytransfer_mtl.models.task_loss import TaskLoss, loss_of, predictions_of
from easytransfer_mtl.tasks import Task

Features = dict[str, tf.Tensor]


class Step(Protocol):
    """The step that ``compile`` takes: does one optimizer step on a batch and returns the logs for Keras callbacks."""

    weighting: tf.Module

    def __call__(self, batch: Any) -> dict[str, tf.Tensor]: ...


class MultiTaskModel(tf_keras.Model):
    """Shared encoder -> one feature per task -> dropout -> one head per task.

    By default the baseline: hard parameter sharing, pooled output, dropout 0.1, one linear head per task.

    To change it, subclass and override ``build_logits``, ``build_loss`` or ``build_predictions``, and pass the class to
    ``easytransfer_mtl.train``, or its name to ``--model_class``. A subclass adds its layers in ``build_layers``.

    Attributes:
        encoder: the shared encoder.
        tasks: in model order; a batch's task_id is an index into it.
        architecture: sharing, features, heads and dropout rates.
        task_losses: task name -> its loss.
        sharing: encodes batches for tasks.
        features: one per task, in the tasks' order.
        heads: logits name -> head.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: tuple[Task, ...],
        architecture: Architecture = BASELINE,
        task_losses: Mapping[str, TaskLoss] | None = None,
    ) -> None:
        """Builds the model; a task without an entry in ``task_losses`` has the plain loss of its type.

        Raises:
            UserError: a feature does not fit the encoder or its task.
        """
        super().__init__(name="multi_task_model")
        self.distribute_reduction_method = "first"  # a step returns the same logs on every replica
        self.encoder = encoder
        self.tasks = tasks
        self.architecture = architecture
        plain = {task.name: loss_of(task) for task in tasks}
        self.task_losses = MappingProxyType({**plain, **(task_losses or {})})  # Keras does not track this type
        self._step: Step | None = None
        self.sharing = structure_of(architecture.sharing)(encoder, tasks, architecture.sharing)
        self.build_layers()

    def build_layers(self) -> None:
        """Makes the tasks' features, their dropout layers, and the heads (kernel truncated normal 0.02, bias 0).

        Raises:
            UserError: a feature does not fit the encoder or its task.
        """
        clock, specs = self.encoder.clock, [self.architecture.spec_of(task) for task in self.tasks]
        num_layers = self.encoder.config.num_hidden_layers
        for spec, task in zip(specs, self.tasks):
            check_features(spec.feature, task, num_layers, f"features {task.name.lower()}")
        own = self.architecture.own
        maker = FeatureMaker(self.sharing.width, num_layers, clock.seed, own)
        features = [maker.make(spec.feature, task.name) for spec, task in zip(specs, self.tasks)]
        self.shared_features, self.features = maker.shared, features
        rates = [self.architecture.dropout_of(task.name) for task in self.tasks]
        self.heads: dict[str, Any] = {
            task.logits_name: _make_head(spec.head, task, feature.width, rate, clock, own)
            for spec, task, feature, rate in zip(specs, self.tasks, features, rates)
        }
        self.dropout = SeededDropout(self.architecture.head_dropout, "pooled_output", clock)
        self.dropouts = [
            self.dropout if rate == self.dropout.rate else SeededDropout(rate, f"features/{task.scope}", clock)
            for task, rate in zip(self.tasks, rates)
        ]
        self.part_dropouts = [
            _make_part_dropout(self.architecture.part_dropout.get(task.name, 0.0), task, feature, clock)
            for task, feature in zip(self.tasks, features)
        ]
        if not self._is_overridden:
            self.sharing.leave_unread([spec.feature for spec in specs])

    def build_logits(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns every head's logits, ``{"tnews_logits": [B, 15], ...}``; [M, B, C] for multi-sample dropout in training.

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            training: whether dropout is on.
        """
        if self.sharing.encodes_apart:
            with self.sharing.one_trunk(features, self.reads, training):
                logits = [self.task_logits(features, index, training)[0] for index in range(len(self.tasks))]
            return {task.logits_name: values for task, values in zip(self.tasks, logits)}
        runs = _HeadRuns(self, self.sharing.encode(features, 0, self.reads, training), training)
        return {task.logits_name: runs.logits(index) for index, task in enumerate(self.tasks)}

    def task_logits(self, features: Features, task: int, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns one task's logits and the sharing structure's penalty on the batch, float32 [].

        Args:
            features: see ``build_logits``.
            task: index in ``tasks``.
            training: whether dropout is on.
        """
        encoded = self.sharing.encode(features, task, self.features[task].reads, training)
        return _HeadRuns(self, encoded, training).logits(task), encoded.penalty

    @property
    def reads(self) -> Reads:
        """The encoder outputs that any task reads."""
        return frozenset().union(*(feature.reads for feature in self.features))

    @property
    def computes_apart(self) -> bool:
        """Whether a train step calls ``task_logits`` for the batch's task instead of ``build_logits`` for all tasks.

        True where the other tasks' logits would cost much: if tasks are encoded separately, read different features, or
        read sequences. Always False for a subclass that overrides ``build_logits``: training then uses its override.
        """
        if self._is_overridden:
            return False
        differs = len({id(feature) for feature in self.features}) > 1
        return self.sharing.encodes_apart or differs or any(feature.is_sequence for feature in self.features)

    @property
    def _is_overridden(self) -> bool:
        return type(self).build_logits is not MultiTaskModel.build_logits

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Returns the mean loss of the batch's task, float32 []: the plain loss of its type, or the loss in ``task_losses``.

        Args:
            logits: the value of ``build_logits``.
            label_ids: int32 [B] or [B, C], see ``EncodedRows``.
            task_id: int32 [], the batch's task.
        """
        return self.for_task(lambda task: self.task_losses[task.name](logits[task.logits_name], label_ids), task_id)

    def build_predictions(self, logits: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns for every task ``{name}_predictions`` and ``{name}_probabilities``, see ``predictions_of``."""
        predictions = {}
        for task in self.tasks:
            found, probabilities = predictions_of(task, logits[task.logits_name])
            predictions[f"{task.scope}_predictions"] = found
            predictions[f"{task.scope}_probabilities"] = probabilities
        return predictions

    def call(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Calls ``build_logits``."""
        return self.build_logits(features, training=training)

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """The trainable variables except task-specific ones; weighting methods compare the tasks' gradients of these.

        A subclass that adds task-specific layers must override it.
        """
        own = {id(variable) for index in range(len(self.tasks)) for variable in self.task_variables(index)}
        return [variable for variable in self.trainable_variables if id(variable) not in own]

    def task_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables that only this task's loss updates."""
        return self.head_variables(task) + self.sharing.private_variables(task)

    def head_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables of a task's head and of its feature, without those shared with other tasks."""
        shared = {id(variable) for layer in self.shared_features.values() for variable in layer.trainable_variables}
        own = [variable for variable in self.features[task].trainable_variables if id(variable) not in shared]
        return own + self.heads[self.tasks[task].logits_name].trainable_variables

    @property
    def depths(self) -> dict[int, int]:
        """``id`` of each variable of the encoder and of private copies of its layers -> depth, see ``Encoder.depth_of``."""
        own = [(variable, self.encoder.depth_of(variable)) for variable in self.encoder.canonical_variables.values()]
        return {id(variable): depth for variable, depth in own + self.sharing.private_depths()}

    def for_task(self, function: Callable[[Task], tf.Tensor], task_id: tf.Tensor) -> tf.Tensor:
        """Returns ``function(task)``; ``task_id``, int32 [], may be known only when the graph runs."""
        known = tf.get_static_value(task_id)
        if known is not None:
            return function(self.tasks[int(known)])
        return tf.switch_case(task_id, [partial(function, task) for task in self.tasks])

    def compile(self, optimizer: tf_keras.optimizers.Optimizer, step: Step, **more: Any) -> None:
        """Prepares the model for ``fit``.

        Args:
            optimizer: updates the variables.
            step: a ``TrainStep`` of this model and optimizer.
            more: other arguments of Keras's ``compile``.
        """
        super().compile(optimizer=optimizer, **more)
        self._step = step
        self.weighting = step.weighting  # makes it a part of the model's checkpoints

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Features | dict[str, Features]) -> dict[str, tf.Tensor]:
        """Runs the step that was given to ``compile``."""
        if self._step is None:
            raise UserError("The model is not compiled: call compile(optimizer, TrainStep(model, weighting, optimizer)).")
        return self._step(batch)

    @tf.autograph.experimental.do_not_convert
    def predict_step(self, batch: Features) -> dict[str, tf.Tensor]:
        """Returns ``build_predictions`` of the batch's logits, with dropout off."""
        return self.build_predictions(self.build_logits(batch, training=False))


def _make_head(spec: HeadSpec, task: Task, width: int, rate: float, clock: DropoutClock, own: SimpleNamespace) -> Head:
    name = task.head_name if spec.kind == DENSE else f"{task.scope}_{spec.label}"
    made: Any = spec.head  # also a Keras layer
    return made(HeadFacts(name, width, task.num_labels, rate, spec.size or 0, spec.activation, clock, own))


def _make_part_dropout(rate: float, task: Task, feature: Feature, clock: DropoutClock) -> PartDropout | None:
    widths = [part.width for part in feature.parts]
    return PartDropout(widths, rate, task.scope, clock) if rate else None


class _HeadRuns:
    """Runs heads on one encoded batch; a feature that several tasks read is computed once."""

    def __init__(self, model: MultiTaskModel, encoded: Encoded, training: bool) -> None:
        self._model, self._encoded, self._training = model, encoded, training
        self._values: dict[int, tf.Tensor] = {}
        self._dropped: dict[tuple[int, ...], tf.Tensor] = {}

    def logits(self, task: int) -> tf.Tensor:
        """Returns a task's logits [B, C]; [M, B, C] for multi-sample dropout in training."""
        head: Any = self._model.heads[self._model.tasks[task].logits_name]
        if not isinstance(head, Head):  # a subclass's own layer
            return head(self._dropped_value(task))
        value = self._value(task) if head.drops_itself else self._dropped_value(task)
        layer: Any = head
        return layer(value, self._encoded.input_mask, training=self._training)

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
