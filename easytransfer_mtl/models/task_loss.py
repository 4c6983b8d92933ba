"""What a task's type means for its logits: loss, prediction, and the terms that training adds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import NO_LABEL
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, SCORE, TAGS, Task

EFFECTIVE_BETA = 0.999
LEAST = 1e-30
"""Smallest probability of a teacher whose logarithm is taken; float32 rounds some to 0."""


@dataclass(frozen=True)
class TaskLoss:
    """The mean loss of a task's rows with one label each; by default plain softmax cross entropy.

    Attributes:
        num_labels: C.
        label_weights: one per label; a row with weight w counts like w rows of the batch. None for no weights.
        label_smoothing: share of every label that is spread evenly over all labels, 0 to below 1.
        focal_gamma: a row's cross entropy is multiplied by (1 - p)^focal_gamma, p its label's probability (Lin et al.
            2017).
    """

    row_axis = -2
    """The rows' place among the dimensions of logits."""
    weighs_parts = False
    """Whether equal parts of a batch count otherwise than equally in its mean loss, see ``part_factor``."""
    num_labels: int
    label_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the loss has no label weights, label smoothing and focal factor."""
        return self.label_weights is None and not self.label_smoothing and not self.focal_gamma

    def __call__(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the rows, float32 [].

        Args:
            logits: [B, C], or [M, B, C] for M dropout masks of each row.
            label_ids: int32 [B].
        """
        return tf.reduce_mean(self._each(tf.cast(logits, tf.float32), _of_rank(1, label_ids)))

    def _each(self, values: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the loss of every label; ``values`` has a dimension more than ``label_ids``, and may have one before."""
        labels = one_hot = tf.one_hot(label_ids, self.num_labels)
        if self.label_smoothing:
            labels = (1.0 - self.label_smoothing) * one_hot + self.label_smoothing / self.num_labels
        if values.shape.rank > labels.shape.rank:
            labels = tf.broadcast_to(labels, tf.shape(values))
        rows = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=values)
        if self.focal_gamma:
            # 1 - p from log p, since p rounds to 1 long before the loss is 0, and the power has no gradient there.
            wrong = -tf.math.expm1(tf.reduce_sum(one_hot * tf.nn.log_softmax(values), axis=-1))
            rows *= tf.maximum(wrong, 1e-7) ** self.focal_gamma
        if self.label_weights is not None:
            rows *= tf.gather(tf.constant(self.label_weights, tf.float32), label_ids)
        return rows

    def accuracy(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the share of rows whose largest logit is the label's, float32 []."""
        label_ids = _of_rank(1, label_ids)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=label_ids.dtype), label_ids)
        return tf.reduce_mean(tf.cast(right, tf.float32))

    def disagreement(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Returns KL(p || q) + KL(q || p) of each row, [..., B]; p and q the outputs of the logits ``first``, ``second``."""
        p, q = tf.nn.log_softmax(first), tf.nn.log_softmax(second)
        return tf.reduce_sum((tf.exp(p) - tf.exp(q)) * (p - q), axis=-1)

    def mean_disagreement(self, first: tf.Tensor, second: tf.Tensor, label_ids: tf.Tensor | None) -> tf.Tensor:
        """Returns the mean of ``disagreement`` over the rows, float32 []; ``label_ids`` of the rows say where tags are."""
        return tf.reduce_mean(self.disagreement(first, second))

    def divergence(self, values: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns T^2 KL(q || p) of each row, [..., B]: p of the logits, q the teacher's distribution, at temperature T.

        p = softmax(values / T), and q = softmax(ln(teacher) / T), the teacher's probabilities to the power 1/T, scaled to
        the sum 1. T^2 keeps the size of the gradients when T changes.

        Args:
            values: logits, float32 [..., B, C].
            teacher: probabilities, float32 [B, C].
            temperature: T, above 0.
        """
        log_p = tf.nn.log_softmax(values / temperature)
        log_q = tf.nn.log_softmax(_logarithm(teacher) / temperature)
        return temperature**2 * tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=-1)

    def mean_divergence(self, logits: tf.Tensor, teacher: tf.Tensor, label_ids: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns the mean of ``divergence`` over the rows, float32 []; ``label_ids`` of the rows say where tags are."""
        return tf.reduce_mean(self.divergence(tf.cast(logits, tf.float32), _of_rank(2, teacher), temperature))

    def part_factor(self, part: tf.Tensor, whole: tf.Tensor, parts: int) -> tf.Tensor:
        """Returns the factor, float32 [], of one of several equal parts of a batch: the mean of the products is the batch's.

        Args:
            part: label_ids of the part.
            whole: label_ids of the batch.
            parts: their number.
        """
        return tf.constant(1.0)

    def is_labelled(self, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns which rows have a label, bool [B]; the others have ``NO_LABEL``."""
        return _of_rank(1, label_ids) >= 0

    def expected(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the mean loss, float32 [], of labels drawn with the teacher's probabilities [B, C]."""
        log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        return -tf.reduce_mean(tf.reduce_sum(_of_rank(2, teacher) * log_p, axis=-1))

    def expected_accuracy(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the mean accuracy, float32 [], in the same way: the teacher's probability of the largest logit's label."""
        teacher = _of_rank(2, teacher)
        chosen = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(teacher)[-1])
        return tf.reduce_mean(tf.reduce_sum(teacher * chosen, axis=-1))


@dataclass(frozen=True)
class MultiLabelLoss(TaskLoss):
    """The mean loss of rows with any number of labels: the mean over the labels of sigmoid cross entropies.

    Attributes:
        label_weights: one per label, which multiplies its cross entropies.
        label_smoothing: share of every target that is moved to 0.5.
        focal_gamma: a cross entropy is multiplied by (1 - p)^focal_gamma, p the probability of what is true.
    """

    def __call__(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the rows; ``label_ids`` is int32 [B, C], 0 or 1."""
        values, targets = tf.cast(logits, tf.float32), tf.cast(_of_rank(2, label_ids), tf.float32)
        labels = (1.0 - self.label_smoothing) * targets + 0.5 * self.label_smoothing if self.label_smoothing else targets
        if values.shape.rank == 3:
            labels, targets = (tf.broadcast_to(value, tf.shape(values)) for value in (labels, targets))
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=values)
        if self.focal_gamma:
            signed = (2.0 * targets - 1.0) * values
            each *= tf.maximum(tf.sigmoid(-signed), 1e-7) ** self.focal_gamma
        if self.label_weights is not None:
            each *= tf.constant(self.label_weights, tf.float32)
        return tf.reduce_mean(each)

    def accuracy(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the share of right answers, labels one by one, where the answer is whether the probability is over 0.5."""
        return tf.reduce_mean(tf.cast(tf.equal(logits > 0.0, _of_rank(2, label_ids) > 0), tf.float32))

    def disagreement(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Returns the same divergence as ``TaskLoss``, the mean over the labels, of one Bernoulli variable each."""
        return tf.reduce_mean((tf.sigmoid(first) - tf.sigmoid(second)) * (first - second), axis=-1)

    def divergence(self, values: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns the same as ``TaskLoss``, the mean over the labels, of one Bernoulli variable each.

        Both logits are divided by T: the student's, and the teacher's ln t - ln(1 - t).
        """
        scaled = values / temperature
        teachers = tf.broadcast_to((_logarithm(teacher) - _logarithm(1.0 - teacher)) / temperature, tf.shape(scaled))
        of_student, of_teacher = (
            tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(teachers), logits=logits)
            for logits in (scaled, teachers)
        )
        return temperature**2 * tf.reduce_mean(of_student - of_teacher, axis=-1)

    def is_labelled(self, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns which rows have labels, be it none of them, bool [B]."""
        return _of_rank(2, label_ids)[:, 0] >= 0

    def expected(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the mean loss of labels drawn one by one with the teacher's probabilities."""
        values = tf.cast(logits, tf.float32)
        labels = tf.broadcast_to(_of_rank(2, teacher), tf.shape(values))
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=values))

    def expected_accuracy(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the mean of the teacher's probabilities of the student's decisions, labels one by one."""
        return tf.reduce_mean(tf.where(logits > 0.0, teacher, 1.0 - teacher))


@dataclass(frozen=True)
class ScoreLoss(TaskLoss):
    """The mean squared error of numbers."""

    def __call__(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the rows; ``logits`` is [B, 1] or [M, B, 1], ``label_ids`` int32 [B], see ``bits_of``."""
        values = tf.cast(logits, tf.float32)[..., 0]
        return tf.reduce_mean(tf.math.squared_difference(values, tf.bitcast(_of_rank(1, label_ids), tf.float32)))

    def accuracy(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns 0: numbers are not right or wrong."""
        return tf.constant(0.0)

    def disagreement(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Returns the same divergence as ``TaskLoss``, of normal distributions with the variance 1."""
        return tf.math.squared_difference(first, second)[..., 0]

    def divergence(self, values: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns the squared difference to the teacher's number, whatever the temperature; ``teacher`` is [B, 1]."""
        return tf.math.squared_difference(values, teacher)[..., 0]

    def is_labelled(self, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns which rows have a number, bool [B]: the bits of ``NO_LABEL`` are those of no number."""
        return tf.not_equal(_of_rank(1, label_ids), NO_LABEL)

    def expected(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns the mean squared difference to the teacher's numbers."""
        return self.mean_divergence(logits, teacher, teacher, 1.0)

    def expected_accuracy(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns 0, as ``accuracy`` does."""
        return tf.constant(0.0)


@dataclass(frozen=True)
class TagLoss(TaskLoss):
    """The mean loss of the tags of all rows; tokens without a tag do not count, and a batch without tags has the loss 0."""

    row_axis = -3
    weighs_parts = True

    def __call__(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the mean over the tags; ``logits`` [B, S, C] or [M, B, S, C], ``label_ids`` int32 [B, S], -1 for none."""
        label_ids = _of_rank(2, label_ids)
        return _mean_over_tags(self._each(tf.cast(logits, tf.float32), tf.maximum(label_ids, 0)), label_ids)

    def accuracy(self, logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns the share of tags whose logit is the largest."""
        label_ids = _of_rank(2, label_ids)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=label_ids.dtype), label_ids)
        return _mean_over_tags(tf.cast(right, tf.float32), label_ids)

    def mean_disagreement(self, first: tf.Tensor, second: tf.Tensor, label_ids: tf.Tensor | None) -> tf.Tensor:
        """Returns the mean of ``disagreement`` over the tags."""
        assert label_ids is not None
        return _mean_over_tags(self.disagreement(first, second), _of_rank(2, label_ids))

    def mean_divergence(self, logits: tf.Tensor, teacher: tf.Tensor, label_ids: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns the mean of ``divergence`` over the tags; one of which the teacher says nothing, only zeros, counts as 0.

        It is behind the place where the teacher's models cut the text.
        """
        teacher = _of_rank(3, teacher)
        found = self.divergence(tf.cast(logits, tf.float32), teacher, temperature)
        return _mean_over_tags(tf.where(tf.reduce_any(teacher > 0.0, axis=-1), found, 0.0), _of_rank(2, label_ids))

    def is_labelled(self, label_ids: tf.Tensor) -> tf.Tensor:
        """Returns true for every row, bool [B]: rows without tags have none to be told from others."""
        return tf.ones(tf.shape(label_ids)[:1], tf.bool)

    def expected(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns 0: no batch is without labelled rows."""
        return tf.constant(0.0)

    def expected_accuracy(self, logits: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Returns 0: no batch is without labelled rows."""
        return tf.constant(0.0)

    def part_factor(self, part: tf.Tensor, whole: tf.Tensor, parts: int) -> tf.Tensor:
        """Returns ``parts`` times the share of the batch's tags that is in the part."""
        own, all_tags = (tf.reduce_sum(tf.cast(ids >= 0, tf.float32)) for ids in (part, whole))
        return parts * tf.math.divide_no_nan(own, all_tags)


def _mean_over_tags(values: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
    """Returns the mean of values [..., B, S] over the tokens with a tag, and over all dimensions before."""
    is_tag = label_ids >= 0
    sums = tf.reduce_sum(tf.where(is_tag, values, 0.0), axis=[-2, -1])
    return tf.reduce_mean(sums) / tf.maximum(tf.reduce_sum(tf.cast(is_tag, tf.float32)), 1.0)


def _of_rank(rank: int, values: tf.Tensor) -> tf.Tensor:
    """Alternating steps on tasks of several types have labels and a teacher of any rank until the task is known."""
    return values if values.shape.rank == rank else tf.ensure_shape(values, [None] * rank)


def _logarithm(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(probabilities, LEAST))


_LOSSES: dict[str, type[TaskLoss]] = {CLASSIFY: TaskLoss, MULTI_LABEL: MultiLabelLoss, SCORE: ScoreLoss, TAGS: TagLoss}


def loss_of(task: Task, label_smoothing: float = 0.0, focal_gamma: float = 0.0) -> TaskLoss:
    """Returns the loss of a task's type."""
    return _LOSSES[task.type](task.num_labels, None, label_smoothing, focal_gamma)


def predictions_of(task: Task, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what a task's logits [B, C] predict.

    Returns:
        Of ``classify`` the label id, int32 [B], and the labels' probabilities, float32 [B, C]; of ``multi_label`` 0 or 1 for
        every label, int32 [B, C], and their probabilities; of ``score`` the number, float32 [B], and the same as [B, 1]; of
        ``tags``, whose logits are [B, S, C], the tag id of every token, int32 [B, S], and the tags' probabilities.
    """
    values = tf.cast(logits, tf.float32)
    return _PREDICTIONS[task.type](task, values)


def _of_one_label(task: Task, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.argmax(values, axis=-1, output_type=tf.int32), tf.nn.softmax(values)


def _of_several_labels(task: Task, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    probabilities = tf.sigmoid(values)
    return tf.cast(probabilities >= task.threshold, tf.int32), probabilities


def _of_number(task: Task, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    numbers = values if task.range is None else tf.clip_by_value(values, *task.range)
    return numbers[:, 0], numbers


_PREDICTIONS: dict[str, Callable[[Task, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]] = {
    CLASSIFY: _of_one_label,
    MULTI_LABEL: _of_several_labels,
    SCORE: _of_number,
    TAGS: _of_one_label,
}


def label_weights(counts: np.ndarray, kind: str) -> tuple[float, ...]:
    """Returns one weight per label from the labels' frequencies; the mean weight over the rows is 1.

    Args:
        counts: rows of each label, int [C]; 0 is taken as 1.
        kind: ``inverse`` (1 / n), ``log`` (1 / ln(1.02 + n / N); Paszke et al. 2016), or ``effective``
            ((1 - b) / (1 - b^n), b = 0.999; Cui et al. 2019).
    """
    seen = np.maximum(counts, 1).astype(float)
    weights = {
        "inverse": 1.0 / seen,
        "log": 1.0 / np.log(1.02 + seen / seen.sum()),
        "effective": (1.0 - EFFECTIVE_BETA) / (1.0 - EFFECTIVE_BETA**seen),
    }[kind]
    return tuple(float(weight) for weight in weights * seen.sum() / (weights @ seen))
