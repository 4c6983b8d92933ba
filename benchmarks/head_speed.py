"""What each feature and head costs: an alternating step of every task against the baseline's, in turn.

Run as ``python -m benchmarks.head_speed``. Processor time, which other programs disturb least.
"""

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.training_speed import TimedStep
    from easytransfer_mtl.data.encoded_rows import Batch

SIZE, SHAPE, ROUNDS = (4, 256), (64, 40), 5
CASES = (
    "cls", "mean", "max", "attention", "pair", "layer2.mean", "last4.mean", "mix.mean", "cls+mean+max", "pooled mlp",
    "pooled multi_dropout", "sequence lstm", "sequence bilstm", "sequence gru", "sequence textcnn",
    "sequence label_attention",
)  # fmt: skip
"""What every task reads and, after it, its head; without it ``dense``."""


def step_of(case: str) -> "TimedStep":
    """Returns the train step of a case, empty for the baseline; of tasks that all are of pairs, so that one is compared."""
    from benchmarks.models import make_model
    from benchmarks.training_speed import TimedStep
    from easytransfer_mtl.models.architecture import Architecture
    from easytransfer_mtl.tasks import CONTEST_TASKS

    features, _, head = case.partition(" ")
    parts = [dict.fromkeys([task.name for task in CONTEST_TASKS], text) if text else {} for text in (features, head)]
    tasks = tuple(replace(task, second_sequence=task.first_sequence) for task in CONTEST_TASKS)
    return TimedStep(make_model(*SIZE, tasks, architecture=Architecture(features=parts[0], heads=parts[1])))


def batches() -> list["Batch"]:
    """Returns a batch of one shape for every task, without padding, half of each row a second text."""
    from benchmarks.training_speed import random_batch
    from easytransfer_mtl.tasks import CONTEST_TASKS

    found = []
    for index, task in enumerate(CONTEST_TASKS):
        batch = {**random_batch(*SHAPE, task.num_labels), "task_id": np.array(index, np.int32)}
        batch["segment_ids"][:, SHAPE[1] // 2 :] = 1
        found.append(batch)
    return found


def main() -> None:
    """Measures and prints a line a case: time of the baseline's steps, and the ratio to it."""
    from easytransfer_mtl.environment import check_environment

    check_environment()
    work = batches()

    def processor_seconds(step: "TimedStep") -> float:
        started = time.process_time()
        step.seconds(work)
        return time.process_time() - started

    plain = step_of("")
    processor_seconds(plain)
    for case in CASES:
        step = step_of(case)
        processor_seconds(step)
        pairs = [(processor_seconds(plain), processor_seconds(step)) for _ in range(ROUNDS)]
        base, ratio = statistics.median(pair[0] for pair in pairs), statistics.median(b / a for a, b in pairs)
        print(f"{case:26} baseline {base:.2f} s, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
