"""One optimizer step: forward passes, attack, gradients, weighting, clipping, update.

An alternating step has one task's batch, as in EasyTransfer; a joint step has a batch of every task. Both call ``_forward``,
compute the task weights, run the backward pass inside ``_with_attack``, and call ``_finish``.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.data.encoded_rows import TEACHER
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs import gradients as grads
from easytransfer_mtl.runs.gradients import Gradient
from easytransfer_mtl.training.adversarial import attacked_gradients, make_adversary
from easytransfer_mtl.training.averages import WeightAverages
from easytransfer_mtl.training.distillation import Distillation
from easytransfer_mtl.training.loss_scale import SCALED, LossScale
from easytransfer_mtl.training.rdrop import disagreement, twice
from easytransfer_mtl.training.replicas import mean_of
from easytransfer_mtl.training.token_dropout import TokenDropout
from easytransfer_mtl.weighting import ElementWeighting, Signals, TaskWeighting
from easytransfer_mtl.weighting.task_sums import cross_gram_matrix, gram_matrix, weighted_sum

Batch = dict[str, tf.Tensor]
"""input_ids, input_mask, segment_ids, int32 [B, S]; label_ids, int32 [B], [B, C] or [B, S]; task_id, int32 []; with
distillation also teacher_probabilities, float32 [B, C] or [B, S, C], and label_ids may be -1, no label. With several
replicas: this replica's rows."""
Batches = dict[str, Batch]
"""Task name -> its batch."""
PART_FACTOR = "part_factor"
"""Key of the factor, float32 [], of what is computed of a part of a batch; see ``TaskLoss.part_factor``."""
Gradients = list[Gradient | None]
"""In the order of ``trainable_variables``."""


class Forward(NamedTuple):
    """Results of a task's forward pass, float32 [] each.

    Attributes:
        loss: the task's unweighted loss, which logs and weightings use; the mean over the labelled rows.
        accuracy: share of labelled rows whose largest logit is the label's, if the weighting needs it, else 0.
        penalty: term that the sharing structure adds to the weighted loss.
        objective: value that the task's weight multiplies: the loss, or its mixture with the teacher's; plus R-Drop's term
            if it is on.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    penalty: tf.Tensor
    objective: tf.Tensor


class Computed(NamedTuple):
    """Results of an alternating step's batch on this replica.

    Attributes:
        loss: the task's unweighted loss, float32 [].
        accuracy: see ``Forward``.
        penalty: see ``Forward``.
        weights: of all tasks, float32 [K].
        gradients: of the weighted objective plus the penalty, for ``trainable_variables``.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    penalty: tf.Tensor
    weights: tf.Tensor
    gradients: list[Gradient]


class Combined(NamedTuple):
    """Results of a joint step's batches, averaged over all replicas.

    Attributes:
        gradients: of the weighted sum plus the penalties, for ``trainable_variables``, dense.
        weights: float32 [K].
        signals: input of the weighting.
        penalty: the sum of the penalties, float32 [].
    """

    gradients: list[tf.Tensor]
    weights: tf.Tensor
    signals: Signals
    penalty: tf.Tensor


class TrainStep:
    """Updates a model, its moving averages and the state of the weighting by one step.

    Attributes:
        model: the trained model.
        weighting: computes the tasks' weights.
        optimizer: updates the variables.
        settings: see ``StepSettings``.
        token_dropout: replaces tokens by [MASK]; None for none.
        distillation: mixes the loss with a teacher's; None without a teacher.
        averages: moving averages of the weights; None without ``ema_decay``.
        loss_scale: scales the losses' gradients; None unless the precision is float16.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        weighting: TaskWeighting,
        optimizer: tf_keras.optimizers.Optimizer,
        settings: StepSettings | None = None,
        token_dropout: TokenDropout | None = None,
        distillation: Distillation | None = None,
    ) -> None:
        """Takes the parts; the default settings are EasyTransfer's.

        Raises:
            UserError: the weighting is for another number of tasks or batches, or the settings have an attack on word
                embeddings that the model does not train.
        """
        if weighting.num_tasks != len(model.tasks):
            raise UserError(f"The weighting is for {weighting.num_tasks} tasks; the model has {len(model.tasks)}.")
        self.model, self.weighting, self.optimizer = model, weighting, optimizer
        self.settings = settings or StepSettings()
        weighting.check_num_batches(self.settings.num_accumulated_batches)
        weighting.build([model.trainable_variables[place] for place in self._read_places])
        self.token_dropout = token_dropout
        self.distillation = distillation
        self.adversary = make_adversary(self.settings)
        if self.adversary is not None:
            self._attacked_place()
        decay = self.settings.ema_decay
        self.averages = WeightAverages(model.trainable_variables, decay) if decay else None
        self.loss_scale = LossScale() if self.settings.precision == SCALED else None

    def __call__(self, batch: Batch | Batches) -> dict[str, tf.Tensor]:
        """Does one optimizer step.

        Args:
            batch: one task's batch, or a dict with every task's batch.

        Returns:
            losses (unweighted, 0 for tasks without a batch), weights, and active (whether a task has a batch), each [K];
            grad_norm (before clipping), learning_rate, and skipped (whether the step was skipped because a loss or gradient
            is not finite, with ``on_nonfinite="skip"``, or because gradients overflowed in float16), each []; gram [K, K] if
            the weighting needs it; penalty [] if the sharing structure has one; loss_scale (of the next step) and overflowed
            [] in float16.
        """
        return self._alternating(batch) if {"task_id", "input_ids"} <= batch.keys() else self._joint(batch)

    # Forward pass, both modes.

    def _forward(self, batch: Batch, task_id: tf.Tensor, time: tf.Tensor) -> Forward:
        """Computes a task's loss with dropout on; if ``model.computes_apart``, computes only what this task needs.

        Args:
            batch: the task's batch.
            task_id: int32 []; may be known only when the graph runs.
            time: int64 [], determines the dropout masks; the same time gives the same masks.
        """
        model, clock = self.model, self.model.encoder.clock
        clock.time.assign(time)
        if self.settings.rdrop_alpha:
            batch = twice(batch)
        if self.token_dropout:
            batch = self.token_dropout.applied(batch, task_id, clock)
        if not model.computes_apart:
            return self._losses(model.build_logits(batch, training=True), batch, task_id, tf.constant(0.0))
        with model.sharing.one_trunk(batch, model.reads, training=True):
            known = tf.get_static_value(task_id)
            if known is not None:
                return self._apart(batch, int(known))
            return tf.switch_case(task_id, [partial(self._apart, batch, task) for task in range(len(model.tasks))])

    def _apart(self, batch: Batch, task: int) -> Forward:
        logits, penalty = self.model.task_logits(batch, task, training=True)
        return self._losses({self.model.tasks[task].logits_name: logits}, batch, tf.constant(task), penalty)

    def _losses(self, logits: dict[str, tf.Tensor], batch: Batch, task_id: tf.Tensor, penalty: tf.Tensor) -> Forward:
        model = self.model
        of_labels = self._of_labelled_rows if self.has_unlabelled else self._of_labels
        loss, accuracy, objective = of_labels(logits, batch, task_id)
        if distillation := self.distillation:
            soft = model.for_task(
                lambda task: distillation.loss(
                    model.task_losses[task.name], logits[task.logits_name], batch[TEACHER], batch["label_ids"]
                ),
                task_id,
            )
            objective = distillation.mixture(objective, soft)
        if self.settings.rdrop_alpha:
            differ = model.for_task(
                lambda task: disagreement(logits[task.logits_name], model.task_losses[task.name], batch["label_ids"]),
                task_id,
            )
            objective += self.settings.rdrop_alpha / 4.0 * differ
        if PART_FACTOR in batch:
            loss, accuracy, objective = (batch[PART_FACTOR] * value for value in (loss, accuracy, objective))
        return Forward(loss, accuracy, penalty, objective)

    def _part_of(self, batch: Batch, part: tf.Tensor) -> Batch:
        """Returns part number ``part`` of a batch's rows; with its factor, if a task's parts do not count by their rows."""
        parts, losses = self.settings.num_accumulated_batches, self.model.task_losses
        rows = tf.shape(batch["label_ids"])[0] // parts
        piece = {k: v if k == "task_id" else v[part * rows : (part + 1) * rows] for k, v in batch.items()}
        if not any(loss.weighs_parts for loss in losses.values()):
            return piece
        factor = self.model.for_task(
            lambda task: losses[task.name].part_factor(piece["label_ids"], batch["label_ids"], parts), batch["task_id"]
        )
        return piece | {PART_FACTOR: factor}

    @property
    def has_unlabelled(self) -> bool:
        """Whether batches may have rows without a label."""
        return self.distillation is not None and self.distillation.unlabelled

    def _of_labels(
        self, logits: dict[str, tf.Tensor], batch: Batch, task_id: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the labels' loss, the accuracy, and the labels' part of the objective, which is their loss."""
        model, label_ids = self.model, batch["label_ids"]
        loss, accuracy = model.build_loss(logits, label_ids, task_id), tf.constant(0.0)
        if self.weighting.needs_accuracies:
            accuracy = model.for_task(
                lambda task: model.task_losses[task.name].accuracy(logits[task.logits_name], label_ids), task_id
            )
        return loss, accuracy, loss

    def _of_labelled_rows(
        self, logits: dict[str, tf.Tensor], batch: Batch, task_id: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Does the same as ``_of_labels`` for a batch with rows without a label.

        Loss and accuracy are those of the labelled rows, of which the objective has their share of the batch. A batch that
        has none gets what the labels would give on average if they were drawn with the teacher's probabilities: logs and
        weightings need a number of the usual size, and 0 would be the best that there is. Its part of the objective is 0.
        """
        model, label_ids = self.model, batch["label_ids"]
        is_labelled = self._is_labelled(label_ids, task_id)
        rows = tf.where(is_labelled)[:, 0]
        share = tf.cast(tf.size(rows), tf.float32) / tf.cast(tf.size(is_labelled), tf.float32)
        axes = {task.logits_name: model.task_losses[task.name].row_axis for task in model.tasks}

        def rows_of(name: str, value: tf.Tensor) -> tf.Tensor:
            # Logits may have a dimension of dropout masks before the rows; a user's own model may have other outputs too.
            return value if value.shape.rank == 0 else tf.gather(value, rows, axis=axes.get(name, 0))

        def of_labels() -> tuple[tf.Tensor, tf.Tensor]:
            chosen = {name: rows_of(name, value) for name, value in logits.items()}
            return self._of_labels(chosen, {"label_ids": tf.gather(label_ids, rows)}, task_id)[:2]

        def expected() -> tuple[tf.Tensor, tf.Tensor]:
            losses, accuracy = model.task_losses, tf.constant(0.0)
            loss = model.for_task(lambda task: losses[task.name].expected(logits[task.logits_name], batch[TEACHER]), task_id)
            if self.weighting.needs_accuracies:
                accuracy = model.for_task(
                    lambda task: losses[task.name].expected_accuracy(logits[task.logits_name], batch[TEACHER]), task_id
                )
            return loss, accuracy

        loss, accuracy = tf.cond(share > 0, of_labels, expected)
        return loss, accuracy, share * loss

    # Alternating steps.

    def _alternating(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Does a step on one task's batch; the step number determines the dropout masks."""
        step, task_id = tf.identity(self.optimizer.iterations), batch["task_id"]
        loss, accuracy, penalty, weights, gradients = self.gradients_of(batch)
        loss, accuracy, *gradients = mean_of([loss, accuracy, *gradients])
        norm = grads.unsummed_norm(gradients)
        signals = self._signals_of(task_id, loss, accuracy, step)
        trained = self._heads_to_move(weights)
        if self.settings.idle_heads == "skip":
            trained = signals.active if trained is None else signals.active & trained
        return self._finish(gradients, norm, signals, weights, penalty, trained)

    def _signals_of(self, task_id: tf.Tensor, loss: tf.Tensor, accuracy: tf.Tensor, step: tf.Tensor) -> Signals:
        active = tf.one_hot(task_id, len(self.model.tasks), on_value=True, off_value=False, dtype=tf.bool)
        return Signals(tf.where(active, loss, 0.0), active, step, tf.where(active, accuracy, 0.0))

    def gradients_of(self, batch: Batch) -> Computed:
        """Computes the loss and the gradients of one task's batch.

        The batch is computed in ``num_accumulated_batches`` equal parts, whose results are averaged. With more than one part
        embedding gradients are dense, so that clipping sees them summed.
        """
        parts, step = self.settings.num_accumulated_batches, self.optimizer.iterations
        if parts == 1:
            return self._gradients_of_part(batch, tf.identity(step))

        def add_part(part: tf.Tensor, before: Computed) -> tuple[tf.Tensor, Computed]:
            piece = self._part_of(batch, part)
            found = self._gradients_of_part(piece, step * parts + tf.cast(part, tf.int64))
            logged = self._logged(found.loss, found.accuracy, piece, batch, batch["task_id"])
            loss, accuracy, penalty = (total + value / parts for total, value in zip(before[:3], [*logged, found.penalty]))
            sums = [total + gradient / parts for total, gradient in zip(before.gradients, grads.dense(found.gradients))]
            return part + 1, Computed(loss, accuracy, penalty, found.weights, sums)

        zero, variables = tf.constant(0.0), self.model.trainable_variables
        start = Computed(zero, zero, zero, tf.zeros(len(self.model.tasks)), [tf.zeros_like(v) for v in variables])
        return tf.while_loop(lambda part, _: part < parts, add_part, (tf.constant(0), start), parallel_iterations=1)[1]

    def _logged(
        self, loss: tf.Tensor, accuracy: tf.Tensor, part: Batch, batch: Batch, task_id: tf.Tensor
    ) -> list[tf.Tensor]:
        """Returns a part's loss and accuracy so that the mean over the parts is the batch's."""
        if not self.has_unlabelled:
            return [loss, accuracy]
        factor = self.settings.num_accumulated_batches * self._share_of(part, batch, task_id)
        return [factor * loss, factor * accuracy]

    def _share_of(self, part: Batch, batch: Batch, task_id: tf.Tensor) -> tf.Tensor:
        """Returns the weight of a part's loss and accuracy in its batch's, float32 [].

        It is the part's share of the batch's labelled rows, or of all rows if none is labelled.
        """
        of_part, of_batch = (self._is_labelled(rows["label_ids"], task_id) for rows in (part, batch))
        counts_all = tf.logical_not(tf.reduce_any(of_batch))
        own, whole = (tf.math.count_nonzero(rows | counts_all) for rows in (of_part, of_batch))
        return tf.cast(own, tf.float32) / tf.cast(whole, tf.float32)

    def _is_labelled(self, label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        return self.model.for_task(lambda task: self.model.task_losses[task.name].is_labelled(label_ids), task_id)

    def _gradients_of_part(self, batch: Batch, time: tf.Tensor) -> Computed:
        task_id, persistent = batch["task_id"], not self.settings.scale_heads
        with tf.GradientTape(persistent=persistent) as tape:
            found = self._forward(batch, task_id, time)
            loss, accuracy = tf.stop_gradient(found.loss), found.accuracy
            if self.settings.num_accumulated_batches == 1:  # replicas cannot exchange anything within the parts' loop
                loss, accuracy = mean_of([loss, accuracy])
            signals = self._signals_of(task_id, loss, accuracy, tf.identity(self.optimizer.iterations))
            weights = tf.stop_gradient(self.weighting.weights(signals))
            objectives = _objectives_of(found, weights[task_id])

        def again() -> list[Gradients]:
            with tf.GradientTape(persistent=persistent) as tape:
                objectives = _objectives_of(self._forward(batch, task_id, time), weights[task_id])
            return [self._gradients(tape, *objectives)]

        [gradients] = self._with_attack([self._gradients(tape, *objectives)], again)
        variables = self.model.trainable_variables
        if self.settings.rdrop_alpha:
            gradients = [grads.copies_summed(gradient, tf.size(batch["input_ids"])) for gradient in gradients]
        gradients = grads.zeros_for_none(gradients, variables)
        if self.model.sharing.has_penalty:
            gradients = grads.dense(gradients)
        gradients = grads.densify_small_tables(gradients, variables)
        return Computed(found.loss, found.accuracy, found.penalty, weights, gradients)

    # Joint steps.

    def _joint(self, batches: Batches) -> dict[str, tf.Tensor]:
        """Does a step on the weighted sum of all tasks' losses.

        Weightings without gradients need one backward pass, weightings with a Gram matrix and those that combine gradients
        one per task. If the Gram matrix covers only some variables, the passes per task end at these, and a full pass for
        the weighted sum follows.

        With ``num_accumulated_batches`` above 1 each task's batch is computed in as many equal parts, whose results are
        averaged before they are weighted. The weights are those of the whole batches, so every task has a pass of its own.
        """
        step = tf.identity(self.optimizer.iterations)
        whole_gram = self.weighting.needs_gram and self._gram_kind == "all"
        combines = isinstance(self.weighting, ElementWeighting)
        one_by_one = whole_gram or combines or self.settings.num_accumulated_batches > 1
        if self.weighting.num_batches:
            combined = self._from_parts(batches, step)
        else:
            combined = self._from_each(batches, step) if one_by_one else self._from_sum(batches, step)
        gradients, weights, signals, penalty = combined

        def losses_after() -> tf.Tensor:
            return tf.stack(mean_of([self._loss_of(batches, task, step) for task in range(len(self.model.tasks))]))

        norm = tf.linalg.global_norm(gradients)
        return self._finish(gradients, norm, signals, weights, penalty, self._heads_to_move(weights), losses_after)

    def _of_joint(self, batches: Batches, task: int, step: tf.Tensor) -> Forward:
        """Computes one task's loss; each task of a step has different dropout masks, which are the same when repeated."""
        return self._forward(self._batch_of(batches, task), tf.constant(task), self._time_of(task, step))

    def _batch_of(self, batches: Batches, task: int) -> Batch:
        return batches[self.model.tasks[task].name]

    def _time_of(self, task: int, step: tf.Tensor) -> tf.Tensor:
        return step * len(self.model.tasks) + task

    def _loss_of(self, batches: Batches, task: int, step: tf.Tensor) -> tf.Tensor:
        parts, batch = self.settings.num_accumulated_batches, self._batch_of(batches, task)
        if parts == 1:
            return self._of_joint(batches, task, step).loss

        def add_part(part: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            piece = self._part_of(batch, part)
            found = self._forward(piece, tf.constant(task), self._time_of(task, step) * parts + tf.cast(part, tf.int64))
            return part + 1, before + self._logged(found.loss, found.accuracy, piece, batch, tf.constant(task))[0] / parts

        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda part, _: part < parts, add_part, start, parallel_iterations=1)[1]

    def _from_sum(self, batches: Batches, step: tf.Tensor) -> Combined:
        """Differentiates the weighted sum; computes the Gram matrix first if the weighting needs one of some variables."""
        tasks, read = range(len(self.model.tasks)), self.gram_variables if self.weighting.needs_gram else []
        with tf.GradientTape(persistent=True) as tape:
            forwards = [self._of_joint(batches, task, step) for task in tasks]
            with tape.stop_recording() if read else contextlib.nullcontext():
                gram = None
                if read:
                    found = [
                        grads.zeros_for_none(self._differentiate(tape, part.objective, read), read) for part in forwards
                    ]
                    gram = gram_matrix([mean_of(grads.dense(part)) for part in found])
                signals = _joint_signals(forwards, step, gram)
                weights = tf.stop_gradient(self.weighting.weights(signals))
            objectives = _objectives(forwards, weights)

        def again() -> list[Gradients]:
            with tf.GradientTape(persistent=True) as tape:
                objectives = _objectives([self._of_joint(batches, task, step) for task in tasks], weights)
            return [self._gradients(tape, *objectives)]

        [gradients] = self._with_attack([self._gradients(tape, *objectives)], again)
        gradients = mean_of(grads.dense(grads.zeros_for_none(gradients, self.model.trainable_variables)))
        return Combined(gradients, weights, signals, _penalty(forwards))

    def _from_each(self, batches: Batches, step: tf.Tensor) -> Combined:
        """Differentiates every task's loss and, separately, its penalty, which the weighting does not see."""
        tasks = range(len(self.model.tasks))
        forwards, found, of_penalties = zip(
            *(self._task_gradients(self._batch_of(batches, task), task, step) for task in tasks)
        )
        found = [mean_of(grads.dense_where_any(gradients)) for gradients in found]
        signals = _joint_signals(forwards, step, gram_matrix(self._read(found)) if self.weighting.needs_gram else None)
        if not isinstance(self.weighting, ElementWeighting):
            return self._combined(found, of_penalties, forwards, signals, self.weighting.weights(signals))
        signals = signals._replace(gradients=[tf.stack(parts) for parts in zip(*self._read(found), strict=True)])
        gradients, weights, moved = self.weighting.combine(signals)
        return self._combined(found, of_penalties, forwards, signals._replace(moved=moved), weights, gradients)

    def _from_parts(self, batches: Batches, step: tf.Tensor) -> Combined:
        """Does the same as ``_from_each`` for a weighting that needs the parts of the batches as independent batches.

        The products are of the first two parts' gradients. The step is of a third's or, without one, of the mean of both;
        losses are means of all.
        """
        parts, tasks = self.settings.num_accumulated_batches, range(len(self.model.tasks))
        values: list[list[Forward]] = [[] for _ in tasks]
        gradients: list[list[Gradients]] = [[] for _ in tasks]
        of_penalties: list[list[Gradients]] = [[] for _ in tasks]
        for part in range(parts):
            for task in tasks:
                batch, time = self._batch_of(batches, task), self._time_of(task, step) * parts + part
                piece = self._part_of(batch, tf.constant(part))
                forward, own, of_penalty = self._part_gradients(piece, task, time)
                loss, accuracy = self._logged(forward.loss, forward.accuracy, piece, batch, tf.constant(task))
                values[task].append(forward._replace(loss=loss, accuracy=accuracy))
                gradients[task].append(mean_of(grads.dense_where_any(own)))
                of_penalties[task].append(grads.dense_where_any(of_penalty))
        first, second = ([of_task[part] for of_task in gradients] for part in (0, 1))
        forwards = [Forward(*(tf.add_n(list(each)) / parts for each in zip(*of_task, strict=True))) for of_task in values]
        products = cross_gram_matrix(self._read(first), self._read(second))
        signals = _joint_signals(forwards, step, None)._replace(products=products)
        found, stepped = ([_mean(of_task[2:] or of_task) for of_task in each] for each in (gradients, of_penalties))
        return self._combined(found, stepped, forwards, signals, self.weighting.weights(signals))

    def _read(self, found: list[Gradients]) -> list[list[tf.Tensor]]:
        """Returns each task's gradients of the variables that the weighting reads, in their order among all variables."""
        places, variables = self._read_places, self.model.trainable_variables
        wanted = [variables[place] for place in places]
        return [grads.zeros_for_none([task[place] for place in places], wanted) for task in found]

    @property
    def _read_places(self) -> list[int]:
        return sorted(grads.positions_of(self.gram_variables, self.model.trainable_variables))

    def _combined(
        self,
        found: list[Gradients],
        of_penalties: Sequence[Gradients],
        forwards: Sequence[Forward],
        signals: Signals,
        weights: tf.Tensor,
        by_element: list[tf.Tensor] | None = None,
    ) -> Combined:
        """Adds up the tasks' gradients times the weights, and the penalties'.

        Args:
            found: each task's gradients, dense.
            of_penalties: each task's gradients of its penalty.
            forwards: the tasks' results.
            signals: input of the weighting.
            weights: float32 [K].
            by_element: the gradients that an ``ElementWeighting`` has combined.
        """
        variables = self.model.trainable_variables
        shared = grads.positions_of(self.model.shared_variables, variables)
        weighted = not isinstance(self.weighting, ElementWeighting) or self.weighting.weighs_losses
        of_place = {} if by_element is None else dict(zip(self._read_places, by_element, strict=True))
        combined = []
        for place, variable in enumerate(variables):
            own = [task for task in range(len(found)) if found[task][place] is not None]
            if place in of_place:
                combined.append(of_place[place])
                continue
            if not own:  # no loss depends on it; penalties are added below
                combined.append(tf.zeros_like(variable))
                continue
            scales = weighted and (place in shared or self.settings.scale_heads)
            factors = tf.gather(weights, own) if scales else tf.ones(len(own))
            combined.append(weighted_sum(factors, [found[task][place] for task in own]))
        for penalty_gradients in of_penalties:
            combined = grads.added(combined, penalty_gradients)
        return Combined(combined, weights, signals, _penalty(forwards))

    def _task_gradients(self, batch: Batch, task: int, step: tf.Tensor) -> tuple[Forward, Gradients, Gradients]:
        """Returns a task's forward results, and the gradients of its objective and of its penalty, attack included.

        With several parts the gradients are dense.
        """
        parts, time = self.settings.num_accumulated_batches, self._time_of(task, step)
        if parts == 1:
            return self._part_gradients(batch, task, time)

        def computed(part: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
            piece = self._part_of(batch, part)
            found, *terms = self._part_gradients(piece, task, time * parts + tf.cast(part, tf.int64))
            logged = self._logged(found.loss, found.accuracy, piece, batch, tf.constant(task))
            gradients = grads.dense_where_any([gradient for term in terms for gradient in term])
            shares = [None if gradient is None else gradient / parts for gradient in gradients]
            return [value / parts for value in (*logged, found.penalty, found.objective)], shares

        # The first part says which variables have a gradient.
        first, gradients = computed(tf.constant(0))
        places = [place for place, gradient in enumerate(gradients) if gradient is not None]

        def add_part(part: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            values, own = computed(part)
            return part + 1, *(one + other for one, other in zip(sums, [*values, *(own[place] for place in places)]))

        start = (tf.constant(1), *first, *(gradients[place] for place in places))
        _, *sums = tf.while_loop(lambda part, *_: part < parts, add_part, start, parallel_iterations=1)
        for place, total in zip(places, sums[len(first) :], strict=True):
            gradients[place] = total
        count = len(gradients) // 2
        return Forward(*sums[: len(first)]), gradients[:count], gradients[count:]

    def _part_gradients(self, batch: Batch, task: int, time: tf.Tensor) -> tuple[Forward, Gradients, Gradients]:
        variables, has_penalty = self.model.trainable_variables, self.model.sharing.has_penalty

        def passes() -> tuple[Forward, list[Gradients]]:
            with tf.GradientTape(persistent=has_penalty) as tape:
                found = self._forward(batch, tf.constant(task), time)
            gradients = self._differentiate(tape, found.objective, variables)
            of_penalty = self._differentiate(tape, found.penalty, variables) if has_penalty else [None] * len(variables)
            return found, [gradients, of_penalty]

        found, terms = passes()
        gradients, of_penalty = self._with_attack(terms, lambda: passes()[1])
        return found, gradients, of_penalty

    def task_gram(self, batches: Batches) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the losses [K] and the Gram matrix [K, K] of their gradients on this replica's rows; updates nothing.

        Dropout is on, with the masks of the last step.
        """
        step = tf.maximum(self.optimizer.iterations - 1, 0)
        variables, losses, found = self.gram_variables, [], []
        for task in range(len(self.model.tasks)):
            with tf.GradientTape() as tape:
                forward = self._of_joint(batches, task, step)
            losses.append(forward.loss)
            gradients = self._differentiate(tape, forward.objective, variables)
            found.append(grads.dense(grads.zeros_for_none(gradients, variables)))
        return tf.stack(losses), gram_matrix(found)

    # Gradients, both modes.

    def _gradients(self, tape: tf.GradientTape, weighted: tf.Tensor, plain: tf.Tensor) -> Gradients:
        """Returns the gradients of ``weighted``, without ``scale_heads`` those of ``plain`` for task-specific variables."""
        variables = self.model.trainable_variables
        gradients = self._differentiate(tape, weighted, variables)
        if not self.settings.scale_heads:
            shared = grads.positions_of(self.model.shared_variables, variables)
            own = [place for place in range(len(variables)) if place not in shared]
            for place, gradient in zip(own, self._differentiate(tape, plain, [variables[place] for place in own])):
                gradients[place] = gradient
        return gradients

    def _differentiate(self, tape: tf.GradientTape, target: tf.Tensor, variables: list[tf.Variable]) -> Gradients:
        if self.loss_scale is None:
            return tape.gradient(target, variables)
        return self.loss_scale.gradients(tape, target, variables)

    def _with_attack(self, gradients: list[Gradients], again: Callable[[], list[Gradients]]) -> list[Gradients]:
        """Returns the gradients of each term, plus those at attacked word embeddings if the settings have an attack.

        ``again`` recomputes the gradients; see ``attacked_gradients``.
        """
        if self.adversary is None:
            return gradients
        return attacked_gradients(
            self.adversary, self.model.encoder.word_embeddings, self._attacked_place(), gradients, again
        )

    def _attacked_place(self) -> int:
        """Returns the word embeddings' index among the trainable variables; raises UserError if they are not trained."""
        table = self.model.encoder.word_embeddings
        place = next((index for index, variable in enumerate(self.model.trainable_variables) if variable is table), None)
        if place is None:
            raise UserError("adversarial attacks the word embeddings, which this model does not train; leave it out.")
        return place

    @property
    def _gram_kind(self) -> str:
        return self.settings.gram_variables or self.weighting.gram_variables

    @property
    def gram_variables(self) -> list[tf.Variable]:
        """The shared variables whose gradients form the Gram matrix, without frozen layers."""
        encoder = self.model.encoder
        parts = {"last_layer": encoder.last_layer_variables, "pooler": encoder.pooler_variables}
        variables = parts.get(self._gram_kind, self.model.shared_variables)
        frozen = grads.positions_of(self.frozen_variables, variables)
        return [variable for place, variable in enumerate(variables) if place not in frozen]

    @property
    def frozen_variables(self) -> list[tf.Variable]:
        """The trainable variables of encoder layers that ``num_freezed_layers`` freezes."""
        depths, last = self.model.depths, self.settings.num_freezed_layers
        return [variable for variable in self.model.trainable_variables if 1 <= depths.get(id(variable), 0) <= last]

    # Update, both modes.

    def _finish(
        self,
        gradients: list[Gradient],
        norm: tf.Tensor,
        signals: Signals,
        weights: tf.Tensor,
        penalty: tf.Tensor,
        trained: tf.Tensor | None,
        losses_after: Callable[[], tf.Tensor] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Clips the gradients, updates the model, its averages and the weighting, and returns the logs.

        Args:
            gradients: of ``trainable_variables``, the same on all replicas.
            norm: of the gradients, for clipping.
            signals: input of the weighting.
            weights: output of the weighting, float32 [K].
            penalty: see ``Forward``, float32 [].
            trained: bool [K], tasks whose heads the step updates, the other heads staying unchanged; None for all.
            losses_after: recomputes the losses on the same batches, for weightings that need them.
        """

        def move() -> tf.Tensor:
            self._move(gradients, norm, signals.step, trained)
            after = losses_after() if losses_after and self.weighting.needs_losses_after else None
            self.weighting.update(signals, after)
            return tf.constant(False)

        def leave_out() -> tf.Tensor:
            self.optimizer.iterations.assign_add(1)  # so that the next step gets the next batch
            return tf.constant(True)

        scale, of_scale = self.loss_scale, {}
        if scale:
            of_scale["overflowed"] = scale.overflowed(norm, signals.losses)
        if self.settings.on_nonfinite == "skip":
            finite = tf.math.is_finite(norm) & tf.reduce_all(tf.math.is_finite(signals.losses))
            skipped = tf.cond(finite, move, leave_out)
        elif scale:
            skipped = tf.cond(of_scale["overflowed"], leave_out, move)
        else:
            skipped = move()
        if scale:
            scale.update(of_scale["overflowed"])
            of_scale["loss_scale"] = tf.identity(scale.scale)
        logs = {
            "losses": signals.losses,
            "weights": weights,
            "active": signals.active,
            "grad_norm": norm,
            "skipped": skipped,
        }
        logs["learning_rate"] = tf.convert_to_tensor(self.optimizer.learning_rate)  # the optimizer sets it during its step
        more = {"gram": signals.gram, "penalty": penalty if self.model.sharing.has_penalty else None}
        return logs | of_scale | {name: value for name, value in more.items() if value is not None}

    def _heads_to_move(self, weights: tf.Tensor) -> tf.Tensor | None:
        """Returns which tasks' heads a step may update, bool [K], or None for all: heads of tasks with weight 0 are kept.

        Their gradients are 0, but weight decay and old moments would still change them.
        """
        if not (self.weighting.may_be_zero and self.settings.scale_heads):
            return None
        return tf.not_equal(weights, 0.0)

    def _move(self, gradients: list[Gradient], norm: tf.Tensor, step: tf.Tensor, trained: tf.Tensor | None) -> None:
        variables = self.model.trainable_variables
        factor = grads.clip_factor(norm, self.settings.clip_norm_value if self.settings.gradient_clip else None)
        gradients = grads.freeze(grads.dense(gradients), variables, self.frozen_variables)
        with self._idle_heads_kept(trained):
            grads.apply_scaled(self.optimizer, gradients, variables, factor)
        if self.averages:
            self.averages.update(step)

    @contextlib.contextmanager
    def _idle_heads_kept(self, trained: tf.Tensor | None) -> Iterator[None]:
        """Inside the block, the optimizer leaves the variables of idle tasks and their slots unchanged.

        Works with every optimizer whose steps call ``update_step``, and makes no copies. ``trained`` is bool [K], or None if
        all tasks' variables are updated.
        """
        if trained is None:
            yield
            return
        optimizer = self.optimizer
        moves = {
            optimizer._var_key(variable): trained[index]
            for index in range(len(self.model.tasks))
            for variable in self.model.task_variables(index)
        }

        def update_step(gradient: tf.Tensor, variable: tf.Variable) -> None:
            update = type(optimizer).update_step
            move = moves.get(optimizer._var_key(variable))
            if move is None:
                update(optimizer, gradient, variable)
            else:
                tf.cond(move, lambda: update(optimizer, gradient, variable), lambda: None)

        optimizer.update_step = update_step
        try:
            yield
        finally:
            vars(optimizer).pop("update_step", None)  # every replica sets and removes it


def _mean(parts: list[Gradients]) -> Gradients:
    """Returns the mean of the gradients of a batch's parts, dense; None where they are None."""
    return [None if each[0] is None else tf.add_n(list(each)) / len(each) for each in zip(*parts, strict=True)]


def _joint_signals(forwards: Sequence[Forward], step: tf.Tensor, gram: tf.Tensor | None) -> Signals:
    losses, accuracies = (tf.stack(mean_of([tf.stop_gradient(each[part]) for each in forwards])) for part in (0, 1))
    return Signals(losses, tf.ones_like(losses, tf.bool), step, accuracies, gram)


def _objectives_of(found: Forward, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted and the plain objective of one task, both with the penalty."""
    return weight * found.objective + found.penalty, found.objective + found.penalty


def _objectives(forwards: list[Forward], weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted and the plain sum of the objectives, both with the penalties."""
    losses = tf.stack([part.objective for part in forwards])
    penalty = _penalty(forwards)
    return tf.reduce_sum(weights * losses) + penalty, tf.reduce_sum(losses) + penalty


def _penalty(forwards: Sequence[Forward]) -> tf.Tensor:
    return tf.add_n([part.penalty for part in forwards])
