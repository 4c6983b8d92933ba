"""One model on one shape in a process of its own: time to the first step, time of a step, memory.

Run as ``python -m benchmarks.fresh_process`` with a ``Case`` as JSON on standard input.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.training_speed import TimedStep
    from easytransfer_mtl.data.encoded_rows import Batch

STEPS = 3


@dataclass(frozen=True)
class Case:
    """What the process runs: an encoder's size, a batch's shape, whose layers (the original's recipe or ours).

    With a weighting's name (``joint_steps.weightings``) the step is a joint one, the shape that of each task's batch.
    """

    layers: int
    hidden_size: int
    rows: int
    length: int
    original: bool = False
    weighting: str | None = None


@dataclass(frozen=True)
class Cost:
    """What it took.

    Attributes:
        first_step_s: seconds from the built model to the first step's result: tracing, compiling, the step itself.
        rows_per_s: rows a second of the steps after it, in the median.
        memory_gb: the process's largest resident size, 10^9 bytes.
    """

    first_step_s: float
    rows_per_s: float
    memory_gb: float


def cost_of(case: Case) -> Cost:
    """Runs the process."""
    return Cost(**answer_of("fresh_process", case))


def answer_of(module: str, case: Case) -> dict[str, Any]:
    """Runs a module of this package as a process, the case on its standard input; returns the JSON object it prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    done = subprocess.run(command, input=json.dumps(dataclasses.asdict(case)), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def read_case() -> Case:
    """Reads the case on standard input and imports what its model needs, so that it costs no time later."""
    from easytransfer_mtl.environment import check_environment, import_tensorflow

    case = Case(**json.load(sys.stdin))
    check_environment()
    import_tensorflow(True)
    return case


def prepare(case: Case) -> tuple["TimedStep", "Batch"]:
    """Returns the case's train step, not yet traced, and its batch."""
    from benchmarks.joint_steps import joint_batches, joint_step, weightings
    from benchmarks.models import make_model
    from benchmarks.training_speed import TimedStep, random_batch
    from easytransfer_mtl.tasks import CONTEST_TASKS

    model = make_model(case.layers, case.hidden_size, CONTEST_TASKS, case.original)
    if case.weighting:
        step = joint_step(model, *weightings(CONTEST_TASKS)[case.weighting])
        return step, joint_batches(case.rows, case.length, CONTEST_TASKS)
    step = TimedStep(model, "float32" if case.original else "bfloat16")
    return step, random_batch(case.rows, case.length, CONTEST_TASKS[0].num_labels)


def main() -> None:
    """Measures the case on standard input and prints its cost."""
    case = read_case()
    from benchmarks.machine import peak_memory_gb

    step, batch = prepare(case)
    first = step.seconds([batch])
    later = statistics.median(step.seconds([batch]) for _ in range(STEPS))
    print(json.dumps(dataclasses.asdict(Cost(first, case.rows / later, peak_memory_gb()))))


if __name__ == "__main__":
    main()
