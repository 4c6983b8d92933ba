"""What each feature and head costs: an alternating step of every task against the baseline's, in turn.

Run as ``python -m easytransfer_mtl.benchmarking.head_speed``. Processor time, which other programs disturb least.
"""

import statistics
import sys
import time

import numpy as np

from easytransfer_mtl.benchmarking.models import make_model
from easytransfer_mtl.benchmarking.training_speed import TrainStep, random_batch
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.environment import check_environment
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.tasks import CONTEST_TASKS

SIZE, SHAPE, ROUNDS = (4, 256), (64, 40), 5
CASES = (
    "cls", "mean", "max", "attention", "pair", "layer2.mean", "last4.mean", "mix.mean", "cls+mean+max", "pooled mlp",
    "pooled multi_dropout", "sequence lstm", "sequence bilstm", "sequence gru", "sequence textcnn",
    "sequence label_attention",
)  # fmt: skip
"""What every task reads and, after it, its head; without it ``dense``."""


def architecture_of(case: str) -> Architecture:
    """Returns the architecture of a case; a pair is compared for all tasks, whatever their texts."""
    features, _, head = case.partition(" ")
    names = [task.name for task in CONTEST_TASKS]
    return Architecture(features=dict.fromkeys(names, features), heads=dict.fromkeys(names, head) if head else {})


def batches() -> list[Batch]:
    """Returns a batch of one shape for every task, without padding, half of each row a second text."""
    found = []
    for index, task in enumerate(CONTEST_TASKS):
        batch = {**random_batch(*SHAPE, task.num_labels), "task_id": np.array(index, np.int32)}
        batch["segment_ids"][:, SHAPE[1] // 2 :] = 1
        found.append(batch)
    return found


def main(cases: tuple[str, ...] = CASES) -> None:
    """Measures and prints a line a case: time of the baseline's steps, ratio to it, and the first step's seconds."""
    work = batches()

    def processor_seconds(step: TrainStep) -> float:
        started = time.process_time()
        step.seconds(work)
        return time.process_time() - started

    plain = TrainStep(make_model(*SIZE, CONTEST_TASKS))
    plain.seconds(work)
    for case in cases:
        step, started = TrainStep(make_model(*SIZE, CONTEST_TASKS, architecture=architecture_of(case))), time.process_time()
        step.seconds(work)
        first = time.process_time() - started
        pairs = [(processor_seconds(plain), processor_seconds(step)) for _ in range(ROUNDS)]
        base, ratio = statistics.median(pair[0] for pair in pairs), statistics.median(b / a for a, b in pairs)
        print(f"{case:26} baseline {base:.2f} s, ratio {ratio:.2f}, first step {first:.0f} s", flush=True)


if __name__ == "__main__":
    check_environment()
    main(tuple(sys.argv[1:]) or CASES)
