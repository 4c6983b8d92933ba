"""The time to the first step's result, in a fresh process: tracing, compiling, the step itself.

Run as ``python -m easytransfer_mtl.benchmarking.first_step LAYERS HIDDEN_SIZE original|ours``.
"""

import json
import subprocess
import sys

ROWS, LENGTH = 32, 40


def first_step_seconds(size: tuple[int, int], kind: str) -> float:
    """Returns the seconds that a fresh process's first step takes, the model being built; ``kind`` as above."""
    module = "easytransfer_mtl.benchmarking.first_step"
    command = [sys.executable, "-m", module, *map(str, size), kind]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["seconds"]


def main() -> None:
    """Measures and prints {"seconds": ...}."""
    from easytransfer_mtl.environment import check_environment, import_tensorflow

    check_environment()
    import_tensorflow(True)
    from easytransfer_mtl.benchmarking.models import make_model
    from easytransfer_mtl.benchmarking.training_speed import TrainStep, random_batch
    from easytransfer_mtl.tasks import CONTEST_TASKS

    original = sys.argv[3] == "original"
    model = make_model(int(sys.argv[1]), int(sys.argv[2]), CONTEST_TASKS, original)
    step = TrainStep(model, "float32" if original else "bfloat16")
    print(json.dumps({"seconds": step.seconds([random_batch(ROWS, LENGTH, CONTEST_TASKS[0].num_labels)])}))


if __name__ == "__main__":
    main()
