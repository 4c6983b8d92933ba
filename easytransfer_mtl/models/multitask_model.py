"""The baseline's model: one BERT for all tasks, pooled output, dropout, one dense layer per task."""

from dataclasses import dataclass

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.models.idle_heads import keep_idle_heads
from easytransfer_mtl.models.replicas import mean_of
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
        num_accumulated_batches: parts that a step's batch is computed in, their gradients averaged.
    """

    clip_norm: float | None = 1.0
    num_frozen_layers: int = 0
    idle_heads: str = "zero"
    num_accumulated_batches: int = 1


class MultiTaskModel(tf_keras.Model):
    """Hard parameter sharing: encoder -> pooled output -> dropout 0.1 -> one linear head per task.

    To change it, subclass and override ``build_logits``, ``build_loss`` or ``build_predictions``, and hand the class to
    ``easytransfer_mtl.train``. Layers that a subclass adds belong into ``build_layers``.

    Attributes:
        encoder: the shared BERT.
        tasks: the tasks in model order; a batch's task_id counts in it.
        heads: dense layers by logits name.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        tasks: tuple[Task, ...],
        weighting: TaskWeighting | None = None,
        options: StepOptions = StepOptions(),
        dropout_rate: float = 0.1,
    ) -> None:
        super().__init__(name="multi_task_model")
        self.distribute_reduction_method = "first"  # a step tells the same on every replica
        self.encoder = encoder
        self.tasks = tasks
        self.weighting = weighting or Equal(len(tasks))
        self.options = options
        self.dropout_rate = dropout_rate
        self.build_layers()

    def build_layers(self) -> None:
        """Makes the heads (kernel truncated normal 0.02, bias 0) and the dropout before them."""
        self.heads = {task.logits_name: tf_keras.layers.Dense(task.num_labels, name=task.head_name) for task in self.tasks}
        self.dropout = SeededDropout(self.dropout_rate, "pooled_output", self.encoder.clock)
        width = self.encoder.config.hidden_size
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
        pooled_output = self.encoder.pooled_output(
            features["input_ids"], features["input_mask"], features["segment_ids"], training=training
        )
        pooled_output = self.dropout(pooled_output, training=training)
        return {name: head(pooled_output) for name, head in self.heads.items()}

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """Returns the mean softmax cross entropy of the batch's task, float32 [].

        Args:
            logits: what ``build_logits`` returned.
            label_ids: int32 [B].
            task_id: int32 [], the batch's task.
        """

        def loss_of(task: Task) -> tf.Tensor:
            one_hot = tf.one_hot(label_ids, task.num_labels)
            values = tf.cast(logits[task.logits_name], tf.float32)
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=values))

        return tf.switch_case(task_id, [lambda task=task: loss_of(task) for task in self.tasks])

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

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Features) -> dict[str, tf.Tensor]:
        """One optimizer step on the batch of one task.

        Args:
            batch: features, label_ids (int32 [B]) and task_id (int32 []); on several replicas, this one's rows.

        Returns:
            loss (unweighted), weight, grad_norm (before clipping), learning_rate and task_id, all [].
        """
        loss, weight, gradients = self.gradients_of(batch)
        loss, *gradients = mean_of([loss, *gradients])
        variables = self.trainable_variables
        norm = grads.unsummed_norm(gradients)
        factor = grads.clip_factor(norm, self.options.clip_norm)
        gradients = grads.freeze_layers(grads.dense(gradients), variables, self.options.num_frozen_layers)
        with keep_idle_heads(self, batch["task_id"], active=self.options.idle_heads == "skip"):
            grads.apply_scaled(self.optimizer, gradients, variables, factor)
        active = tf.one_hot(batch["task_id"], len(self.tasks), on_value=True, off_value=False, dtype=tf.bool)
        self.weighting.update(tf.where(active, loss, 0.0), active)
        return {
            "loss": loss,
            "weight": weight,
            "grad_norm": norm,
            "learning_rate": tf.convert_to_tensor(self.optimizer.learning_rate),
            "task_id": batch["task_id"],
        }

    def gradients_of(self, batch: Features) -> tuple[tf.Tensor, tf.Tensor, list[grads.Gradient]]:
        """Returns the batch's loss, its weight, and the weighted loss's gradients of ``trainable_variables``.

        With accumulated batches the batch is computed in equal parts and the results averaged; embedding gradients are
        then dense, so that clipping sees them summed.
        """
        parts = self.options.num_accumulated_batches
        step = self.optimizer.iterations
        if parts == 1:
            self.encoder.clock.time.assign(step)
            return self._part_gradients(batch)
        rows = tf.shape(batch["label_ids"])[0] // parts
        variables = self.trainable_variables

        def add_part(part: tf.Tensor, loss: tf.Tensor, weight: tf.Tensor, sums: list[tf.Tensor]) -> tuple:
            self.encoder.clock.time.assign(step * parts + tf.cast(part, tf.int64))
            piece = {k: v if k == "task_id" else v[part * rows : (part + 1) * rows] for k, v in batch.items()}
            part_loss, weight, gradients = self._part_gradients(piece)
            sums = [total + gradient / parts for total, gradient in zip(sums, grads.dense(gradients))]
            return part + 1, loss + part_loss / parts, weight, sums

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0), [tf.zeros_like(v) for v in variables])
        _, loss, weight, sums = tf.while_loop(lambda part, *_: part < parts, add_part, start, parallel_iterations=1)
        return loss, weight, sums

    def _part_gradients(self, batch: Features) -> tuple[tf.Tensor, tf.Tensor, list[grads.Gradient]]:
        active = tf.one_hot(batch["task_id"], len(self.tasks), on_value=True, off_value=False, dtype=tf.bool)
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.build_logits(batch, training=True)
            loss = self.build_loss(logits, batch["label_ids"], batch["task_id"])
            (whole_loss,) = mean_of([tf.stop_gradient(loss)])
            weights = self.weighting.weights(tf.where(active, whole_loss, 0.0), active)
            weight = tf.stop_gradient(weights)[batch["task_id"]]
            objective = weight * loss
        gradients = tape.gradient(objective, variables)
        return loss, weight, grads.densify_small_tables(grads.zeros_for_none(gradients, variables), variables)

    @tf.autograph.experimental.do_not_convert
    def predict_step(self, batch: Features) -> dict[str, tf.Tensor]:
        """Returns ``build_predictions`` of the batch's logits, dropout off."""
        return self.build_predictions(self.build_logits(batch, training=False))
