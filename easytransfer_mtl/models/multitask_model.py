"""The baseline's model: one encoder for all tasks, pooled output, dropout, one dense layer per task."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.alternating_step import alternating_step
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.averages import WeightAverages
from easytransfer_mtl.models.encoded import Reads
from easytransfer_mtl.models.features import FeatureMaker, check_features
from easytransfer_mtl.models.joint_step import Batches, joint_step
from easytransfer_mtl.models.rdrop import disagreement
from easytransfer_mtl.models.sharing import make_sharing
from easytransfer_mtl.models.step_options import DEFAULT_OPTIONS, StepOptions
from easytransfer_mtl.models.task_losses import task_loss
from easytransfer_mtl.models.task_parts import HeadRuns, make_dropout, make_head, make_part_dropout, task_spec
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import Equal, TaskWeighting

Features = dict[str, tf.Tensor]


class MultiTaskModel(tf_keras.Model):
    """An encoder that tasks share -> features of its output -> dropout -> a head per task.

    By default the baseline: hard parameter sharing, pooled output, dropout 0.1, one linear head per task.

    To change it, subclass and override ``build_logits``, ``build_loss`` or ``build_predictions``, and hand the class to
    ``easytransfer_mtl.train``. Layers that a subclass adds belong into ``build_layers``.

    Attributes:
        encoder: the shared encoder.
        tasks: the tasks in model order; a batch's task_id counts in it.
        architecture: what it is made of.
        sharing: encodes batches for tasks.
        features: what each task reads, in the tasks' order.
        heads: by logits name.
        averages: moving averages of the weights, which every step moves too; None unless set.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: tuple[Task, ...],
        weighting: TaskWeighting | None = None,
        options: StepOptions = DEFAULT_OPTIONS,
        architecture: Architecture = BASELINE,
    ) -> None:
        """Takes the parts.

        Raises:
            UserError: the weighting is for another number of tasks.
        """
        super().__init__(name="multi_task_model")
        self.distribute_reduction_method = "first"  # a step tells the same on every replica
        self.encoder = encoder
        self.tasks = tasks
        self.weighting = weighting or Equal(len(tasks))
        if self.weighting.num_tasks != len(tasks):
            raise UserError(f"The weighting is for {self.weighting.num_tasks} tasks; the model has {len(tasks)}.")
        self.options = options
        self.averages: WeightAverages | None = None
        self.architecture = architecture
        self.sharing = make_sharing(architecture, encoder, tasks)
        self.build_layers()

    def build_layers(self) -> None:
        """Makes what each task reads, the dropout of it, and the heads (kernel truncated normal 0.02, bias 0).

        Raises:
            UserError: a task is to read what the encoder or the task does not have.
        """
        clock, specs = self.encoder.clock, [task_spec(self.architecture, task) for task in self.tasks]
        num_layers = self.encoder.config.num_hidden_layers
        for spec, task in zip(specs, self.tasks):
            check_features(spec.feature, task, num_layers, f"features {task.name.lower()}")
        maker = FeatureMaker(self.sharing.width, num_layers, clock.seed)
        features = [maker.make(spec.feature, task.name) for spec, task in zip(specs, self.tasks)]
        self.shared_features, self.features = maker.shared, features
        self.heads = {
            task.logits_name: make_head(self.architecture, task, feature.width, clock)
            for task, feature in zip(self.tasks, features)
        }
        self.dropout = SeededDropout(self.architecture.head_dropout, "pooled_output", clock)
        self.dropouts = [make_dropout(self.architecture, task, self.dropout, clock) for task in self.tasks]
        rates = self.options.part_dropout
        self.part_dropouts = [
            make_part_dropout(rates.get(task.name, 0.0), task, feature, clock) for task, feature in zip(self.tasks, features)
        ]
        if not self._is_overridden:
            self.sharing.leave_unread([spec.feature for spec in specs])

    def build_logits(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns every head's logits, ``{"tnews_logits": [B, 15], ...}``; of multi-sample dropout in training [M, B, C].

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            training: whether dropout is on.
        """
        if self.sharing.encodes_apart:
            with self.sharing.one_trunk(features, self.reads, training):
                logits = [self.task_logits(features, index, training)[0] for index in range(len(self.tasks))]
            return {task.logits_name: values for task, values in zip(self.tasks, logits)}
        runs = HeadRuns(self, self.sharing.encode(features, 0, self.reads, training), training)
        return {task.logits_name: runs.logits(index) for index, task in enumerate(self.tasks)}

    def task_logits(self, features: Features, task: int, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns one task's logits and the sharing's penalty on the batch, float32 [].

        Args:
            features: as ``build_logits`` takes.
            task: its place in ``tasks``.
            training: whether dropout is on.
        """
        encoded = self.sharing.encode(features, task, self.features[task].reads, training)
        return HeadRuns(self, encoded, training).logits(task), encoded.penalty

    @property
    def reads(self) -> Reads:
        """What tasks read of the encoder."""
        return frozenset().union(*(feature.reads for feature in self.features))

    @property
    def computes_apart(self) -> bool:
        """Whether a train step computes its own task's logits only, by ``task_logits``, instead of ``build_logits``.

        It does where the other tasks' would cost much: where tasks read different things or sequences. A subclass that
        overrides ``build_logits`` decides by it what training computes.
        """
        if self._is_overridden:
            return False
        differs = len({id(feature) for feature in self.features}) > 1
        return self.sharing.encodes_apart or differs or any(feature.is_sequence for feature in self.features)

    @property
    def _is_overridden(self) -> bool:
        return type(self).build_logits is not MultiTaskModel.build_logits

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Returns the mean loss of the batch's task, float32 []: softmax cross entropy, and what ``StepOptions.loss`` adds.

        Args:
            logits: what ``build_logits`` returned.
            label_ids: int32 [B].
            task_id: int32 [], the batch's task.
        """

        def of_task(task: Task) -> tf.Tensor:
            return task_loss(logits[task.logits_name], label_ids, task, self.options.loss)

        return self._for_task(of_task, task_id)

    def build_predictions(self, logits: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns for every task ``{name}_predictions`` (int32 [B]) and ``{name}_probabilities`` (float32 [B, C])."""
        predictions = {}
        for task in self.tasks:
            values = tf.cast(logits[task.logits_name], tf.float32)
            predictions[f"{task.name.lower()}_predictions"] = tf.argmax(values, axis=-1, output_type=tf.int32)
            predictions[f"{task.name.lower()}_probabilities"] = tf.nn.softmax(values)
        return predictions

    def call(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """The same as ``build_logits``."""
        return self.build_logits(features, training=training)

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """The trainable variables of all tasks, whose gradients are weighed against each other: all but single tasks' own.

        A subclass with other layers of single tasks overrides it.
        """
        own = {id(variable) for index in range(len(self.tasks)) for variable in self.task_variables(index)}
        return [variable for variable in self.trainable_variables if id(variable) not in own]

    def task_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables that one task alone moves."""
        return self.head_variables(task) + self.sharing.private_variables(task)

    def head_variables(self, task: int) -> list[tf.Variable]:
        """Returns the trainable variables of a task's own feature and head."""
        shared = {id(variable) for layer in self.shared_features.values() for variable in layer.trainable_variables}
        own = [variable for variable in self.features[task].trainable_variables if id(variable) not in shared]
        return own + self.heads[self.tasks[task].logits_name].trainable_variables

    @property
    def depths(self) -> dict[int, int]:
        """By ``id``, how deep the variables of encoder layers and their private copies are, see ``Encoder.depth_of``."""
        own = [(variable, self.encoder.depth_of(variable)) for variable in self.encoder.canonical_variables.values()]
        return {id(variable): depth for variable, depth in own + self.sharing.private_depths()}

    @property
    def frozen_variables(self) -> list[tf.Variable]:
        """The trainable variables of encoder layers that ``num_frozen_layers`` keeps as they are."""
        depths, last = self.depths, self.options.num_frozen_layers
        return [variable for variable in self.trainable_variables if 1 <= depths.get(id(variable), 0) <= last]

    def gram_variables(self) -> list[tf.Variable]:
        """Returns the shared variables that ``gram_variables`` names, without frozen layers."""
        parts = {"last_layer": self.encoder.last_layer_variables, "pooler": self.encoder.pooler_variables}
        variables = parts.get(self.options.gram_variables, self.shared_variables)
        frozen = grads.positions_of(self.frozen_variables, variables)
        return [variable for place, variable in enumerate(variables) if place not in frozen]

    def accuracy_of(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Returns the share of the batch's rows whose greatest logit is the label's, if the weighting needs it, else 0."""
        if not self.weighting.needs_accuracies:
            return tf.constant(0.0)

        def of_task(task: Task) -> tf.Tensor:
            right = tf.equal(tf.argmax(logits[task.logits_name], axis=-1, output_type=label_ids.dtype), label_ids)
            return tf.reduce_mean(tf.cast(right, tf.float32))

        return self._for_task(of_task, task_id)

    def disagreement_of(self, logits: dict[str, tf.Tensor], task_id: tf.Tensor) -> tf.Tensor:
        """Returns how far the outputs of the two halves of the rows differ, see ``rdrop.disagreement``."""
        return self._for_task(lambda task: disagreement(logits[task.logits_name]), task_id)

    def _for_task(self, function: Callable[[Task], tf.Tensor], task_id: tf.Tensor) -> tf.Tensor:
        """Returns the function's value for the task, which may be known only in the running graph."""
        known = tf.get_static_value(task_id)
        if known is not None:
            return function(self.tasks[int(known)])
        return tf.switch_case(task_id, [lambda task=task: function(task) for task in self.tasks])

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Features | Batches) -> dict[str, tf.Tensor]:
        """One optimizer step: ``alternating_step`` on the batch of one task, or ``joint_step`` on a batch of every task."""
        return alternating_step(self, batch) if {"task_id", "input_ids"} <= batch.keys() else joint_step(self, batch)

    @tf.autograph.experimental.do_not_convert
    def predict_step(self, batch: Features) -> dict[str, tf.Tensor]:
        """Returns ``build_predictions`` of the batch's logits, dropout off."""
        return self.build_predictions(self.build_logits(batch, training=False))
