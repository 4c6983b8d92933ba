"""The baseline's model: one encoder for all tasks, pooled output, dropout, one dense layer per task."""

from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.alternating_step import alternating_step
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.encoded import POOLED, Encoded
from easytransfer_mtl.models.joint_step import Batches, joint_step
from easytransfer_mtl.models.sharing import make_sharing
from easytransfer_mtl.models.task_losses import LossOptions, task_loss
from easytransfer_mtl.seeding import truncated_normal
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import Equal, TaskWeighting

Features = dict[str, tf.Tensor]


@dataclass(frozen=True)
class StepOptions:
    """How a train step treats its gradients; the defaults are EasyTransfer's.

    Attributes:
        clip_norm: global norm to clip to, or None for no clipping.
        num_frozen_layers: encoder layers whose gradients are zeroed, counted from the bottom.
        idle_heads: ``zero`` lets the optimizer move the heads of the other tasks on their moments (gradient zero, as in
            the original); ``skip`` leaves them and their optimizer state alone.
        num_accumulated_batches: parts that an alternating step's batch is computed in, their gradients averaged.
        loss: what is done to the tasks' cross entropy.
        scale_heads: whether a task's weight scales the gradients of its own variables too, or the shared ones' alone.
        gram_variables: shared variables whose gradients the Gram matrix is of: ``all``, ``last_layer`` or ``pooler``.
        on_nonfinite: ``skip`` leaves out a step whose loss or gradient is not finite.
    """

    clip_norm: float | None = 1.0
    num_frozen_layers: int = 0
    idle_heads: str = "zero"
    num_accumulated_batches: int = 1
    loss: LossOptions = field(default_factory=LossOptions)
    scale_heads: bool = True
    gram_variables: str = "all"
    on_nonfinite: str = "stop"


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
        heads: dense layers by logits name.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: tuple[Task, ...],
        weighting: TaskWeighting | None = None,
        options: StepOptions = StepOptions(),
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
        self.architecture = architecture
        self.sharing = make_sharing(architecture, encoder, tasks)
        self.build_layers()

    def build_layers(self) -> None:
        """Makes the heads (kernel truncated normal 0.02, bias 0) and the dropout before them."""
        self.heads = {task.logits_name: tf_keras.layers.Dense(task.num_labels, name=task.head_name) for task in self.tasks}
        self.dropout = SeededDropout(self.architecture.head_dropout, "pooled_output", self.encoder.clock)
        width = self.sharing.width
        for head in self.heads.values():
            with tf.name_scope(head.name):
                head.build((None, width))
            kernel = truncated_normal((width, head.units), 0.02, self.encoder.clock.seed, "head", head.name)
            head.set_weights([kernel, head.get_weights()[1]])

    def build_logits(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns every head's logits, ``{"tnews_logits": [B, 15], ...}``.

        Args:
            features: input_ids, input_mask, segment_ids, int32 [B, S].
            training: whether dropout is on.
        """
        if self.sharing.encodes_apart:
            return {
                task.logits_name: self.task_logits(features, index, training)[0] for index, task in enumerate(self.tasks)
            }
        encoded = self.sharing.encode(features, 0, frozenset({POOLED}), training)
        pooled_output = self.dropout(encoded.pooled, training=training)
        return {name: head(pooled_output) for name, head in self.heads.items()}

    def task_logits(self, features: Features, task: int, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns one task's logits [B, C] and the sharing's penalty on the batch, float32 [].

        Args:
            features: as ``build_logits`` takes.
            task: its place in ``tasks``.
            training: whether dropout is on.
        """
        encoded: Encoded = self.sharing.encode(features, task, frozenset({POOLED}), training)
        pooled_output = self.dropout(encoded.pooled, training=training)
        return self.heads[self.tasks[task].logits_name](pooled_output), encoded.penalty

    @property
    def computes_apart(self) -> bool:
        """Whether a train step computes its own task's logits only, by ``task_logits``, instead of ``build_logits``.

        A subclass that overrides ``build_logits`` decides by it what training computes.
        """
        return self.sharing.encodes_apart and type(self).build_logits is MultiTaskModel.build_logits

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
        return self.heads[self.tasks[task].logits_name].trainable_variables + self.sharing.private_variables(task)

    @property
    def frozen_variables(self) -> list[tf.Variable]:
        """The encoder's variables that ``num_frozen_layers`` keeps as they are."""
        return self.encoder.frozen_variables(self.options.num_frozen_layers)

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
