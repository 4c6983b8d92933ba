"""Joint steps to be measured: one of every loss weighting, and the batches that it takes."""

import numpy as np

from benchmarks.models import use_weighting
from benchmarks.training_speed import JOINT, TimedStep, random_batch
from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import METHODS, RunFacts, TaskWeighting, make_weighting


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


def joint_step(model: MultiTaskModel, weighting: TaskWeighting, gram_variables: str) -> TimedStep:
    """Gives the model a weighting and the losses that it asks for; returns its joint step, to be traced before the next."""
    use_weighting(model, model.optimizer, weighting, gram_variables)
    return TimedStep(model, "bfloat16", JOINT)


def joint_batches(rows: int, length: int, tasks: tuple[Task, ...]) -> dict[str, Batch]:
    """Returns a batch of one shape for every task, without padding."""
    return {
        task.name: {**random_batch(rows, length, task.num_labels), "task_id": np.array(index, np.int32)}
        for index, task in enumerate(tasks)
    }
