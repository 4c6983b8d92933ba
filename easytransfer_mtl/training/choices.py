"""What follows from a run's settings and the sizes of its tasks alone: rows a step, steps, order, weighting, loss."""

from dataclasses import dataclass

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.data.task_order import TaskOrder
from easytransfer_mtl.models.adversarial import Adversary
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.runs.step_plan import StepPlan, plan_steps
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.batches import batch_sizes, rows_per_step, task_order
from easytransfer_mtl.training.loss_choice import (
    check_averages_and_stopping,
    choose_adversary,
    choose_loss,
    token_dropout_rates,
)
from easytransfer_mtl.weighting import RunFacts, TaskWeighting, make_weighting


@dataclass(frozen=True)
class Choices:
    """How a run steps.

    Attributes:
        sizes: rows of each task's batches, all replicas together.
        plan: its steps.
        order: whose batch a step gets; None in joint steps.
        weighting: what the tasks count for.
        loss: what is done to their cross entropy, but for label weights, which need the labels.
        adversary: the attack that steps train against too, if any.
        token_dropout: share of each task's tokens that steps show as [MASK].
    """

    sizes: list[int]
    plan: StepPlan
    order: TaskOrder | None
    weighting: TaskWeighting
    loss: LossOptions
    adversary: Adversary | None
    token_dropout: tuple[float, ...]


def choose(settings: TrainSettings, tasks: list[Task], num_rows: list[int], num_replicas: int = 1) -> Choices:
    """Works out how a run steps.

    Args:
        settings: the configuration.
        tasks: in the order of the training list.
        num_rows: their training rows.
        num_replicas: devices that each compute a batch of ``train_batch_size`` rows a step.

    Raises:
        UserError: settings do not fit each other or the tasks.
    """
    names = [task.name for task in tasks]
    sizes = batch_sizes(settings, names, num_replicas)
    per_step, rows = rows_per_step(settings, sizes), sum(num_rows)
    plan = plan_steps(rows, settings.num_epochs, per_step, settings.warmup_ratio, settings.save_steps)
    epoch = max(1, rows // per_step)
    order = task_order(settings, names, num_rows, epoch)
    weighting = make_weighting(settings, RunFacts(names, [task.num_labels for task in tasks], epoch, settings.seed))
    check_averages_and_stopping(settings)
    loss, adversary = choose_loss(settings, names, weighting), choose_adversary(settings)
    order = None if settings.step_mode == "joint" else order
    return Choices(sizes, plan, order, weighting, loss, adversary, token_dropout_rates(settings, names))
