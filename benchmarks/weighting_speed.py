"""What each loss weighting costs: a joint step of every method beside one with equal weights, in turn, in one process."""

import logging
from collections.abc import Callable

from benchmarks.comparison import spread
from benchmarks.fresh_process import Case, cost_of
from benchmarks.joint_steps import joint_batches, joint_step, weightings
from benchmarks.models import make_model, use_weighting
from benchmarks.training_speed import TimedStep
from easytransfer_mtl.tasks import Task

ALTERNATING = "three alternating steps"


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
    methods = weightings(tasks)
    # First, since the steps of all methods in one process take several times as much.
    memory_gb = {name: cost_of(Case(*size, *shape, weighting=name)).memory_gb for name in methods}
    memory_gb[ALTERNATING] = cost_of(Case(*size, *shape)).memory_gb
    model = make_model(*size, tasks)
    batches = joint_batches(*shape, tasks)
    steps: dict[str, Callable[[], float]] = {}
    for name, (weighting, gram_variables) in methods.items():
        step = joint_step(model, weighting, gram_variables)
        steps[name] = lambda step=step: step.seconds([batches])
        steps[name]()  # traces now, while the model has this weighting
    use_weighting(model, model.optimizer, methods["equal"][0])
    alternating = TimedStep(model, "bfloat16")
    steps[ALTERNATING] = lambda: alternating.seconds(list(batches.values()))
    steps[ALTERNATING]()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, measure in steps.items():
            seconds[name].append(measure())
    return {
        name: {
            "seconds": spread(times),
            "ratio": spread([a / b for a, b in zip(times, seconds["equal"])]),
            "memory_gb": memory_gb[name],
        }
        for name, times in seconds.items()
    }
