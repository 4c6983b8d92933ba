"""Base class of the loss weightings, which compute K weights from the losses or gradients of K tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import DEFAULT_SEED


class Signals(NamedTuple):
    """Input of a weighting in one train step; with several replicas, the means over all of them.

    Attributes:
        losses: unweighted losses, float32 [K]; 0 for a task without a batch in this step.
        active: bool [K], the tasks with a batch in this step.
        step: int64 [], number of steps before this one.
        accuracies: float32 [K], share of correctly classified rows in each task's batch, if ``needs_accuracies``.
        gram: float64 [K, K], inner products of the unweighted losses' gradients, if ``needs_gram``.
        gradients: for an ``ElementWeighting``, the unweighted losses' gradients of each variable, float32 [K, *shape].
        moved: for an ``ElementWeighting``, in ``update``: what ``combine`` returned as ``moved``.
        products: if ``num_batches``, float64 [K, K]: element ij is the inner product of task i's gradient on the first batch
            with task j's on the second.
    """

    losses: tf.Tensor
    active: tf.Tensor
    step: tf.Tensor
    accuracies: tf.Tensor | None = None
    gram: tf.Tensor | None = None
    gradients: Sequence[tf.Tensor] = ()
    moved: tuple[tf.Tensor, ...] = ()
    products: tf.Tensor | None = None


@dataclass(frozen=True)
class RunFacts:
    """The facts about a run that weightings depend on.

    Attributes:
        task_names: the tasks.
        num_labels: answers that guessing takes for equally likely: a task's labels, 2 where each of several labels is there
            or not, and 1 for a number, which has no chance level.
        steps_per_epoch: number of steps in which all rows are seen once.
        seed: the run's seed.
    """

    task_names: list[str]
    num_labels: list[int]
    steps_per_epoch: int = 1
    seed: int = DEFAULT_SEED

    @property
    def num_tasks(self) -> int:
        """K, the number of tasks."""
        return len(self.task_names)


class TaskWeighting(tf.Module):
    """Computes the task weights of the training objective from the losses or from the Gram matrix of the task gradients.

    The weights are constants for the model's gradient. Subclasses keep their state in variables, which checkpoints include,
    and change it in ``update``.

    Attributes:
        num_tasks: K.
        needs_gram: ``weights`` needs the Gram matrix of the task gradients.
        num_batches: number of independent batches of every task that the method needs, the parts of a step's batch
            (``num_accumulated_batches``), see ``IndependentWeighting``; None for any number of parts, of one batch.
        needs_joint_step: every step must have a batch of every task.
        needs_accuracies: ``update`` needs the accuracies.
        needs_losses_after: ``update`` needs the losses on the same batch after the step.
        works_alone: the method can be used with a single task.
        may_be_zero: a weight can be exactly 0; the head of such a task is not updated.
        gram_variables: default of the setting ``gram_variables``: the variables whose gradients enter the Gram matrix.
        focal_gamma: exponent of the factor (1 - p) on every row's cross entropy, p the probability of its label.
        starving_cure: what the log advises if a task's weight stays near 0, to follow "To cure it,"; None if weights are the
            user's own, which are not judged.
    """

    needs_gram = False
    num_batches: int | None = None
    needs_joint_step = False
    needs_accuracies = False
    needs_losses_after = False
    works_alone = False
    may_be_zero = False
    gram_variables = "all"
    focal_gamma = 0.0
    starving_cure: str | None = "try fixed weights (--loss_weighting=fixed --task_weights) or another method"

    settings: WeightingSettings
    run: RunFacts

    def __init__(self, num_tasks: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.num_tasks = num_tasks

    @classmethod
    def make(cls, settings: WeightingSettings, run: RunFacts) -> "TaskWeighting":
        """Builds the weighting from a run's settings, including the options that a user-defined class declares.

        By default calls ``cls(K)`` and stores both arguments as the attributes ``settings`` and ``run``.

        Raises:
            UserError: an option is invalid.
        """
        made = cls(run.num_tasks)
        made.settings, made.run = settings, run
        return made

    def build(self, variables: list[tf.Variable]) -> None:
        """Makes state that depends on the variables; does nothing for methods without.

        Called once, before the first step and before a checkpoint is restored, where the model's variables are made: state
        that is made here has a copy for every replica.

        Args:
            variables: those whose gradients the method reads: those of the Gram matrix, in their order in the model.
        """

    def check_num_batches(self, parts: int) -> None:
        """Raises UserError if a step's batch has another number of parts than the independent batches that are needed."""
        if self.num_batches not in (None, parts):
            raise UserError(
                f"loss_weighting {self.name} needs {self.num_batches} independent batches of every task in a step, and "
                f"num_accumulated_batches is {parts}; set --num_accumulated_batches={self.num_batches}, or choose another "
                "method."
            )

    def weights(self, signals: Signals) -> tf.Tensor:
        """Returns the weights, float32 [K]."""
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def update(self, signals: Signals, losses_after: tf.Tensor | None = None) -> None:
        """Updates the method's state after a step; does nothing for methods without state.

        Args:
            signals: the argument of ``weights`` in this step.
            losses_after: float32 [K], if ``needs_losses_after``.
        """


def state_variable(value: tf.Tensor | list[float] | float, name: str) -> tf.Variable:
    """Makes a variable for a weighting's state. Every replica assigns its own copy; all copies get the same value."""
    return tf.Variable(
        value,
        dtype=tf.float32,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
