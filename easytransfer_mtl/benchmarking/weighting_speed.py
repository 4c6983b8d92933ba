"""What each loss weighting costs: a joint step of every method beside one with equal weights, in turn, in one process."""

import logging
from collections.abc import Callable

import numpy as np

from easytransfer_mtl.benchmarking.comparison import spread
from easytransfer_mtl.benchmarking.fresh_process import Case, cost_of
from easytransfer_mtl.benchmarking.models import make_model
from easytransfer_mtl.benchmarking.training_speed import JOINT, TrainStep, random_batch
from easytransfer_mtl.config.weighting_settings import WeightingSettings
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.step_options import StepOptions
from easytransfer_mtl.models.task_losses import LossOptions
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import METHODS, RunFacts, TaskWeighting, make_weighting

ALTERNATING = "three alternating steps"


def weightings(tasks: tuple[Task, ...]) -> dict[str, tuple[TaskWeighting, str]]:
    """Returns name -> weighting and the variables of its Gram matrix: every method, MGDA on the last layer too."""
    run = RunFacts([task.name for task in tasks], [task.num_labels for task in tasks])
    found: dict[str, tuple[TaskWeighting, str]] = {}
    for name in METHODS:
        more = {"task_weights": f"{tasks[0].name}=2"} if name == "fixed" else {}
        weighting = make_weighting(WeightingSettings(loss_weighting=name, step_mode="joint", **more), run)
        found[name] = weighting, weighting.gram_variables
    found["mgda, last layer"] = found["mgda"][0], "last_layer"
    return found


def joint_step(model: MultiTaskModel, weighting: TaskWeighting, gram_variables: str) -> TrainStep:
    """Gives the model a weighting and the losses that it asks for; returns its joint step, to be traced before the next."""
    loss = LossOptions(focal_gamma={task.name: weighting.focal_gamma for task in model.tasks})
    model.weighting, model.options = weighting, StepOptions(loss=loss, gram_variables=gram_variables)
    return TrainStep(model, "bfloat16", JOINT)


def joint_batches(rows: int, length: int, tasks: tuple[Task, ...]) -> dict[str, Batch]:
    """Returns a batch of one shape for every task, without padding."""
    return {
        task.name: {**random_batch(rows, length, task.num_labels), "task_id": np.array(index, np.int32)}
        for index, task in enumerate(tasks)
    }


def weighting_costs(
    size: tuple[int, int], shape: tuple[int, int], tasks: tuple[Task, ...], rounds: int
) -> dict[str, dict[str, float | dict[str, float]]]:
    """Measures the joint step of every method and three alternating steps with equal weights.

    Args:
        size: layers and hidden size.
        shape: rows and tokens of each task's batch.
        tasks: the tasks.
        rounds: how often each is measured; ratios are of the same round.

    Returns:
        Name -> seconds, ratio to the joint step with equal weights (spreads), and memory_gb, from a process of its own.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of one function traced many times, as is meant here
    model = make_model(*size, tasks)
    batches = joint_batches(*shape, tasks)
    steps: dict[str, Callable[[], float]] = {}
    for name, (weighting, gram_variables) in weightings(tasks).items():
        step = joint_step(model, weighting, gram_variables)
        steps[name] = lambda step=step: step.seconds([batches])
        steps[name]()  # traces now, while the model has this weighting
    model.weighting, model.options = weightings(tasks)["equal"][0], StepOptions()
    alternating = TrainStep(model, "bfloat16")
    steps[ALTERNATING] = lambda: alternating.seconds(list(batches.values()))
    steps[ALTERNATING]()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, measure in steps.items():
            seconds[name].append(measure())
    costs: dict[str, dict[str, float | dict[str, float]]] = {
        name: {"seconds": spread(times), "ratio": spread([a / b for a, b in zip(times, seconds["equal"])])}
        for name, times in seconds.items()
    }
    for name in costs:
        case = Case(*size, *shape) if name == ALTERNATING else Case(*size, *shape, weighting=name)
        costs[name]["memory_gb"] = cost_of(case).memory_gb
    return costs
