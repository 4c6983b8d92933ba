"""Beside PyTorch: train steps on equal shapes, and prediction, in turn round by round."""

import time

import numpy as np

from benchmarks.comparison import Comparison
from benchmarks.lengths import rows_of_lengths
from benchmarks.models import make_model
from benchmarks.rival import RivalProcess, Shapes
from benchmarks.sizes import VOCABULARY_SIZE
from benchmarks.training_speed import TimedStep, random_batch
from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.pipeline import evaluation_batches
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import Task

AGAINST = "PyTorch, bfloat16"
STEPS_PER_SHAPE, PREDICTION_BATCHES = 3, 12


def shape_of(batch: Batch) -> tuple[int, int]:
    """Returns rows and padded length."""
    return batch["input_ids"].shape


def training_against_rival(
    size: tuple[int, int], shapes: Shapes, mix: list[Batch], tasks: tuple[Task, ...], rival: RivalProcess, rounds: int
) -> list[Comparison]:
    """Compares bfloat16 train steps.

    Args:
        size: layers and hidden size.
        shapes: batches of rows x tokens, each measured alone.
        mix: batches that stand for the contest's mix of lengths, measured together.
        tasks: the tasks.
        rival: PyTorch's process, of the same size.
        rounds: how often.
    """
    step = TimedStep(make_model(*size, tasks), "bfloat16")
    work = {
        f"{rows}x{length}": [random_batch(rows, length, tasks[0].num_labels)] * STEPS_PER_SHAPE for rows, length in shapes
    }
    work["contest's lengths"] = mix
    comparisons = []
    for name, batches in work.items():
        shapes_in_turn, rows = [shape_of(batch) for batch in batches], sum(shape_of(batch)[0] for batch in batches)
        ours, theirs = [], []
        for turn in range(rounds + 1):  # the first warms up
            seconds = step.seconds(batches), rival.seconds("train", shapes_in_turn)
            if turn:
                ours.append(rows / seconds[0])
                theirs.append(rows / seconds[1])
        comparisons.append(Comparison(f"train step {size[0]}x{size[1]}, {name}", "rows/s", ours, AGAINST, theirs))
    return comparisons


def prediction_against_rival(
    size: tuple[int, int], lengths: np.ndarray, batch_size: int, tasks: tuple[Task, ...], rival: RivalProcess, rounds: int
) -> Comparison:
    """Compares bfloat16 prediction of rows that are sorted by length; PyTorch pads to each batch's longest.

    Args:
        size: layers and hidden size.
        lengths: the rows' lengths; a few of all rows' batches stand for them, evenly spaced, padded as all are.
        batch_size: rows a batch.
        tasks: the tasks.
        rival: PyTorch's process, of the same size.
        rounds: how often.
    """
    histogram = dict(zip(*(values.tolist() for values in np.unique(lengths, return_counts=True))))
    every = rows_of_lengths(histogram, int(lengths.max()), VOCABULARY_SIZE, tasks[0], DEFAULT_SEED)
    batches = [batch for _, batch in evaluation_batches(every, batch_size)]
    batches = [batches[int((place + 0.5) * len(batches) / PREDICTION_BATCHES)] for place in range(PREDICTION_BATCHES)]
    shapes = [(len(batch["input_mask"]), int(batch["input_mask"].sum(axis=1).max())) for batch in batches]
    rows, heads = sum(shape[0] for shape in shapes), [task.name for task in tasks]
    inference = Inference(make_model(*size, tasks), batch_size, "bfloat16")
    ours, theirs = [], []
    for turn in range(rounds + 1):  # the first warms up
        started = time.perf_counter()
        for batch in batches:
            inference.batch_outputs(batch, heads)
        seconds = time.perf_counter() - started, rival.seconds("predict", shapes)
        if turn:
            ours.append(rows / seconds[0])
            theirs.append(rows / seconds[1])
    return Comparison(f"prediction {size[0]}x{size[1]}, contest's lengths", "rows/s", ours, AGAINST, theirs)
