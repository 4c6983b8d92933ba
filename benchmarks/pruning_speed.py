"""What a train step costs with an encoder's full vocabulary and with a pruned one, in turn, each in a process of its own.

Run as ``python -m benchmarks.pruning_speed FULL PRUNED ROUNDS``, with the folders of both encoders.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_facts, peak_memory_gb
from easytransfer_mtl.config.sections import PRECISIONS

SHAPE = (32, 64)
WARM_UP = 2
"""Steps before the first round; a round is one step of each."""


def serve(folder: str, precision: str) -> None:
    """Answers every line on standard input with a step's milliseconds, those of the processor, and the peak memory."""
    from easytransfer_mtl.environment import check_environment, import_tensorflow

    check_environment()
    import_tensorflow(True)
    from benchmarks.models import use_weighting
    from benchmarks.training_speed import TimedStep, random_batch
    from easytransfer_mtl.encoders.dropout import DropoutClock
    from easytransfer_mtl.encoders.finding import find_encoder
    from easytransfer_mtl.encoders.loading import load_encoder
    from easytransfer_mtl.models.multitask_model import MultiTaskModel
    from easytransfer_mtl.runs.optimizers import make_optimizer
    from easytransfer_mtl.seeding import DEFAULT_SEED
    from easytransfer_mtl.tasks import CONTEST_TASKS
    from easytransfer_mtl.weighting import Equal

    encoder = load_encoder(find_encoder(folder), DropoutClock(DEFAULT_SEED), random_pooler=True).encoder
    model = MultiTaskModel(encoder, CONTEST_TASKS)
    optimizer = make_optimizer("adam", 1e-5, 0.01)
    optimizer.build(model.trainable_variables)
    use_weighting(model, optimizer, Equal(len(CONTEST_TASKS)))
    step, batch = TimedStep(model, precision), random_batch(*SHAPE, CONTEST_TASKS[0].num_labels)
    step.seconds([batch] * WARM_UP)
    for _ in sys.stdin:
        before = time.process_time()
        seconds = step.seconds([batch])
        processor = time.process_time() - before
        print(json.dumps({"ms": 1000 * seconds, "cpu_ms": 1000 * processor, "memory_gb": peak_memory_gb()}), flush=True)


def main(folders: list[str], rounds: int) -> None:
    """Measures every precision and prints medians, ratios of the rounds, and the memory.

    The processor's time, summed over cores, suffers less from what else the machine does.
    """
    facts = machine_facts()
    print(f"{facts['processor']}, {facts['cores']} cores, load {facts['load_1min']:.1f}, {facts['versions']}", flush=True)
    for precision in PRECISIONS:
        command = [sys.executable, "-m", "benchmarks.pruning_speed"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers = [subprocess.Popen([*command, folder, precision], **pipes) for folder in folders]
        answers = [[_answer(worker) for worker in workers] for _ in range(rounds)]
        for worker in workers:
            worker.communicate()
        print(f"{precision}, {SHAPE[0]} rows x {SHAPE[1]} tokens, {rounds} rounds")
        for key in ("ms", "cpu_ms"):
            full, pruned = ([answer[key] for answer in column] for column in zip(*answers, strict=True))
            low, ratio, high = statistics.quantiles([a / b for a, b in zip(full, pruned, strict=True)], n=4)
            medians = f"{statistics.median(full):.0f}, pruned {statistics.median(pruned):.0f}"
            print(f"  {key}: {medians}, ratio {ratio:.2f} (middle half {low:.2f} to {high:.2f})", flush=True)
        memory = [answer["memory_gb"] for answer in answers[-1]]
        print(f"  peak memory: {memory[0]:.2f} GB, pruned {memory[1]:.2f} GB", flush=True)


def _answer(worker: "subprocess.Popen[str]") -> dict[str, float]:
    assert worker.stdin and worker.stdout
    worker.stdin.write("\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"A process ended with status {worker.wait()}.")
    return json.loads(line)


if __name__ == "__main__":
    if sys.argv[2] in PRECISIONS:
        serve(*sys.argv[1:])
    else:
        main([str(Path(folder)) for folder in sys.argv[1:3]], int(sys.argv[3]))
