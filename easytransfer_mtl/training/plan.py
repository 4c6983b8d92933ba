"""Plan of a run, derived only from its settings, the sizes of its tasks and its encoder's config."""

from dataclasses import dataclass

from transformers import PretrainedConfig

from easytransfer_mtl.config.options import by_task
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.task_order import TaskOrder, make_task_order
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture, choose_architecture
from easytransfer_mtl.models.task_loss import TaskLoss, loss_of
from easytransfer_mtl.runs.step_plan import StepPlan, plan_steps
from easytransfer_mtl.tasks import MULTI_LABEL, SCORE, Task
from easytransfer_mtl.training.batches import batch_sizes, rows_per_step
from easytransfer_mtl.training.checks import check_by_task, check_encoder, check_model, check_settings
from easytransfer_mtl.training.learning_rates import RateShares
from easytransfer_mtl.weighting import RunFacts, TaskWeighting, make_weighting


@dataclass(frozen=True)
class RunPlan:
    """Steps, batches, losses and architecture of a run.

    Attributes:
        sizes: rows of each task's batches, summed over all replicas.
        steps: number of steps, warm-up, and steps between checkpoints.
        order: which task's batch each step gets; None for joint steps.
        facts: what weightings depend on.
        weighting: computes the tasks' weights; without a copy of its state for every replica, see ``make_weighting``.
        losses: task name -> its loss, without label weights, which need the labels.
        architecture: of the model.
        rates: factors of the learning rate.
    """

    sizes: list[int]
    steps: StepPlan
    order: TaskOrder | None
    facts: RunFacts
    weighting: TaskWeighting
    losses: dict[str, TaskLoss]
    architecture: Architecture
    rates: RateShares


def plan_run(
    settings: TrainSettings, tasks: list[Task], num_rows: list[int], config: PretrainedConfig, num_replicas: int = 1
) -> RunPlan:
    """Plans a run; does not depend on its data, folder and machine.

    Args:
        settings: the configuration.
        tasks: in the order of the training list.
        num_rows: number of training rows of each task.
        config: the encoder's.
        num_replicas: number of devices that each compute ``train_batch_size`` rows per step.

    Raises:
        UserError: settings do not fit each other, the tasks or the encoder.
    """
    check_settings(settings)
    check_encoder(settings, config)
    names = [task.name for task in tasks]
    check_by_task(settings, names)
    sizes = batch_sizes(settings, names, num_replicas)
    per_step, rows = rows_per_step(settings, sizes), sum(num_rows)
    steps = plan_steps(rows, settings.num_epochs, per_step, settings.warmup_ratio, settings.save_steps)
    epoch = max(1, rows // per_step)
    alternates = settings.step_mode != "joint"
    order = make_task_order(settings, names, num_rows, settings.num_epochs, epoch, settings.seed) if alternates else None
    facts = RunFacts(names, [_answers(task) for task in tasks], epoch, settings.seed)
    weighting = make_weighting(settings, facts)
    architecture = choose_architecture(settings, tasks, config.num_hidden_layers)
    check_model(settings, tasks, config, architecture, weighting)
    return RunPlan(
        sizes=sizes,
        steps=steps,
        order=order,
        facts=facts,
        weighting=weighting,
        losses=_losses(settings, tasks, weighting),
        architecture=architecture,
        rates=RateShares(tuple(by_task(settings, "head_lr", names).values()), settings.layer_lr_decay),
    )


def _losses(settings: TrainSettings, tasks: list[Task], weighting: TaskWeighting) -> dict[str, TaskLoss]:
    """Returns task name -> its loss; a weighting's focal factor replaces the ``focal_gamma`` setting."""
    names = [task.name for task in tasks]
    smoothing, focal = (by_task(settings, name, names) for name in ("label_smoothing", "focal_gamma"))
    if weighting.focal_gamma:
        if any(focal.values()):
            raise UserError(
                f"focal_gamma {settings.focal_gamma}: loss_weighting {weighting.name} has a focal factor of its own, the "
                f"power {weighting.focal_gamma:g}. Set --dtp_focal_gamma=0 to use focal_gamma, or leave focal_gamma out."
            )
        focal = dict.fromkeys(names, weighting.focal_gamma)
    return {
        task.name: loss_of(task, smoothing[task.name], 0.0 if task.type == SCORE else focal[task.name]) for task in tasks
    }


def _answers(task: Task) -> int:
    """Returns how many answers a row's label has that guessing takes for equally likely: 2 to each label of several."""
    return 2 if task.type == MULTI_LABEL else task.num_labels
