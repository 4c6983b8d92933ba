"""The benchmark's parts: each gives comparisons and whatever else it measured."""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison import Comparison, spread
from benchmarks.conversion_speed import conversion_speed, write_generated_files
from benchmarks.fresh_process import Case, cost_of
from benchmarks.lengths import rows_of_lengths
from benchmarks.matrix_product import product_rates
from benchmarks.rival import HINT, RivalProcess, Shapes, rival_is_installed
from benchmarks.rival_speed import prediction_against_rival, training_against_rival
from benchmarks.sizes import VOCABULARY_SIZE, layer_flops_per_token
from benchmarks.start_up import start_up_seconds
from benchmarks.step_profile import step_profile
from benchmarks.training_speed import training_modes, training_speeds, work_of
from benchmarks.weighting_speed import weighting_costs
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

FIRST_SHAPE = (32, 40)
CURVE = (0.25, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Setup:
    """What is measured.

    Attributes:
        histograms: task name -> {tokens of a row: number of rows}.
        data_dir: contest files, or None for generated ones.
        encoder: with ``data_dir``, the folder of vocab.txt and config.json.
        sizes: layers and hidden size of the encoders.
        shapes: rows and tokens of single batches.
        batch_size: rows a batch.
        length: longest row.
        rounds: how often.
    """

    histograms: dict[str, dict[int, int]]
    data_dir: Path | None
    encoder: Path | None
    sizes: list[tuple[int, int]]
    shapes: Shapes
    batch_size: int
    length: int
    rounds: int
    tasks: tuple[Task, ...] = CONTEST_TASKS

    def rows(self) -> list[EncodedRows]:
        """Returns rows without content, one ``EncodedRows`` a task."""
        return [
            rows_of_lengths(self.histograms[task.name], self.length, VOCABULARY_SIZE, task, DEFAULT_SEED)
            for task in self.tasks
        ]


@dataclass
class Measured:
    """A part's result: comparisons, and details for the JSON file."""

    comparisons: list[Comparison]
    details: dict[str, Any] = field(default_factory=dict)


def conversion(setup: Setup) -> Measured:
    """CSV to TFRecord as a process."""
    if setup.data_dir and setup.encoder:
        return Measured([conversion_speed(setup.data_dir, setup.encoder, setup.tasks, setup.rounds)])
    with tempfile.TemporaryDirectory() as folder:
        write_generated_files(Path(folder), setup.histograms, setup.tasks)
        return Measured([conversion_speed(Path(folder), Path(folder), setup.tasks, setup.rounds)])


def training(setup: Setup) -> Measured:
    """From the original's recipe to ours, and the share of the matrix product's rate."""
    size, modes = setup.sizes[0], training_modes(setup.batch_size)
    speeds = training_speeds(size, setup.rows(), setup.tasks, modes, setup.length, setup.rounds)
    ours, original = speeds[modes[-1].name], speeds[modes[0].name]
    name = f"training {size[0]}x{size[1]}, contest's lengths"
    product = product_rates(size[1], "bfloat16", setup.rounds)
    reached = [layer_flops_per_token(*size) * rate / 1e12 for rate in ours.tokens_per_s]
    comparisons = [
        Comparison(name, "rows/s", ours.rows_per_s, "the original's recipe", original.rows_per_s),
        Comparison(name, "TFLOP/s", reached, "bfloat16 matrix product", [rate / 1e12 for rate in product]),
    ]
    modes_json = {
        mode: {"rows_per_s": spread(s.rows_per_s), "padding": s.padding, "tokens_per_row": s.tokens_per_row}
        for mode, s in speeds.items()
    }
    float32 = spread([rate / 1e12 for rate in product_rates(size[1], "float32", setup.rounds)])
    return Measured(comparisons, {"training_modes": modes_json, "float32_matrix_product_tflops": float32})


def shapes(setup: Setup) -> Measured:
    """Train steps beside PyTorch's, every size."""
    comparisons = []
    for size in setup.sizes:
        with _rival(size) as rival:
            if rival:
                mix = work_of(setup.rows(), setup.tasks, training_modes(setup.batch_size)[-1], setup.length)
                comparisons += training_against_rival(size, setup.shapes, mix, setup.tasks, rival, setup.rounds)
    return Measured(comparisons)


def prediction(setup: Setup) -> Measured:
    """Prediction beside PyTorch's."""
    size = setup.sizes[0]
    lengths = np.concatenate([rows.lengths for rows in setup.rows()])
    with _rival(size) as rival:
        if not rival:
            return Measured([])
        return Measured([prediction_against_rival(size, lengths, setup.batch_size, setup.tasks, rival, setup.rounds)])


def first_step(setup: Setup) -> Measured:
    """The time to the first step's result."""
    size = setup.sizes[0]
    cases = [Case(*size, *FIRST_SHAPE, original) for original in (False, True)]
    pairs = [[cost_of(case).first_step_s for case in cases] for _ in range(setup.rounds)]
    ours, original = map(list, zip(*pairs))
    return Measured([Comparison(f"first step {size[0]}x{size[1]}", "s", ours, "the original's recipe", original)])


def profile(setup: Setup) -> Measured:
    """One step of the longest shape, operation by operation."""
    case = Case(*setup.sizes[0], *setup.shapes[-1])
    profiles = {"original": step_profile(replace(case, original=True)), "ours": step_profile(case)}
    return Measured([], {"step_profile": asdict(case) | profiles})


def curves(setup: Setup) -> Measured:
    """Rows a second and memory against batch size, length, layers and width, each from the first size and shape."""
    layers, hidden_size = setup.sizes[0]
    rows, length = setup.shapes[0]
    cases = [Case(layers, hidden_size, int(rows * factor), length) for factor in CURVE]
    cases += [Case(layers, hidden_size, rows, int(length * factor)) for factor in CURVE if factor != 1.0]
    cases += [Case(max(1, layers * part // 6), hidden_size, rows, length) for part in (1, 2, 4)]
    cases += [Case(layers, max(64, hidden_size * part // 6), rows, length) for part in (1, 2, 4)]
    return Measured([], {"curves": [asdict(case) | asdict(cost_of(case)) for case in cases]})


def weighting(setup: Setup) -> Measured:
    """A joint step of every loss weighting, of the first size and shape."""
    costs = weighting_costs(setup.sizes[0], setup.shapes[0], setup.tasks, setup.rounds)
    return Measured([], {"weighting_costs": costs})


def start_up(setup: Setup) -> Measured:
    """What a process costs before it does anything."""
    return Measured([], {"start_up_seconds": start_up_seconds(setup.rounds)})


PARTS: dict[str, Callable[[Setup], Measured]] = {
    "conversion": conversion,
    "training": training,
    "shapes": shapes,
    "prediction": prediction,
    "first_step": first_step,
    "start_up": start_up,
    "profile": profile,
    "curves": curves,
    "weighting": weighting,
}


@contextlib.contextmanager
def _rival(size: tuple[int, int]) -> Iterator[RivalProcess | None]:
    if not rival_is_installed():
        logging.warning(HINT)
        yield None
        return
    with RivalProcess(*size) as rival:
        yield rival
