"""Measures conversion, training and prediction on this machine: a table, and JSON."""

import logging
import math
import time
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison, spread
from benchmarks.lengths import measured_histograms, stored_histograms
from benchmarks.machine import machine_facts, peak_memory_gb
from benchmarks.parts import PARTS, Setup
from benchmarks.settings import BenchmarkSettings
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import check_outputs, files_in, write_json
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.values import to_number

PROFILE_LINES = 12
LARGEST, MOST_TOGETHER = 65_536, 1 << 20
"""Of layers, widths, rows and lengths that are measured, and of two of them multiplied."""


def run(settings: BenchmarkSettings) -> int:
    """Measures, prints, and writes ``output``; returns the exit status."""
    started = time.perf_counter()
    parts = settings.parts.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UserError(f"--parts: {', '.join(unknown)} is unknown; allowed: {', '.join(PARTS)}.")
    setup = _setup(settings)
    if settings.output:
        read = [path for folder in (setup.data_dir, setup.encoder) if folder for path in files_in(folder)]
        check_outputs([settings.output], [*read, *settings.named_files])
    result: dict[str, Any] = {"machine": machine_facts(), "settings": {"parts": parts, "rounds": settings.rounds}}
    comparisons: list[Comparison] = []
    for part in parts:
        logging.info("measuring %s", part)
        measured = PARTS[part](setup)
        comparisons += measured.comparisons
        result |= measured.details
    result |= {"comparisons": [comparison.as_json() for comparison in comparisons]}
    result |= {"peak_memory_gb": peak_memory_gb(), "seconds": time.perf_counter() - started}
    print(_table(result, comparisons))
    if settings.output:
        write_json(settings.output, result)
        print(f"wrote {settings.output}")
    return 0


def _setup(settings: BenchmarkSettings) -> Setup:
    histograms, encoder = stored_histograms(), None
    if settings.data_dir:
        if not settings.tokenizer_name_or_path:
            raise UserError("benchmarks with --data_dir needs --tokenizer_name_or_path to count tokens.")
        files = find_encoder(settings.tokenizer_name_or_path, settings.modelZooBasePath, needs_weights=False)
        encoder = files.vocabulary_file.parent
        builder = feature_builder(files.vocabulary, "nfkc", 512)
        histograms = measured_histograms(settings.data_dir, CONTEST_TASKS, builder)
    return Setup(
        histograms=histograms,
        data_dir=Path(settings.data_dir) if settings.data_dir else None,
        encoder=encoder,
        sizes=_pairs(settings.sizes, "--sizes"),
        shapes=_pairs(settings.shapes, "--shapes"),
        batch_size=settings.train_batch_size,
        length=settings.sequence_length,
        rounds=settings.rounds,
    )


def _pairs(text: str, flag: str) -> list[tuple[int, int]]:
    """Reads ``12x768,4x256``."""
    try:
        pairs = [tuple(to_number(number, int) for number in item.split("x")) for item in text.split(",")]
    except (ValueError, OverflowError):
        pairs = [()]
    if any(
        len(pair) != 2 or not 1 <= min(pair) <= max(pair) <= LARGEST or math.prod(pair) > MOST_TOGETHER for pair in pairs
    ):
        raise UserError(
            f"{flag}: {shown(text)} is not a comma list of AxB, such as 12x768,4x256: two whole numbers from 1 to "
            f"{LARGEST}, whose product is at most {MOST_TOGETHER}."
        )
    return pairs


def _table(result: dict[str, Any], comparisons: list[Comparison]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load_1min']:.1f}, {versions}",
        f"{result['settings']['rounds']} rounds; median, ratio with its spread",
        "",
        f"{'what':<44} {'ours':>9} {'theirs':>9} {'unit':<8} {'ratio':<22} against",
    ]
    lines += [_line(comparison) for comparison in comparisons]
    for name, mode in result.get("training_modes", {}).items():
        values = f"{mode['rows_per_s']['median']:>8.2f} rows/s {mode['tokens_per_row']:>6.1f} tokens a row"
        lines.append(f"training, {name:<34} {values}, {mode['padding']:.1%} padding")
    for name, seconds in result.get("start_up_seconds", {}).items():
        lines.append(f"start-up, {name:<34} {seconds:>8.2f} s")
    lines += _profile_lines(result["step_profile"]) if "step_profile" in result else []
    for point in result.get("curves", []):
        case = f"{point['layers']}x{point['hidden_size']}, batch {point['rows']} x {point['length']}"
        lines.append(f"curve, {case:<37} {point['rows_per_s']:>8.2f} rows/s {point['memory_gb']:>6.2f} GB")
    for name, cost in result.get("weighting_costs", {}).items():
        ratio = cost["ratio"]
        shown = (
            f"{cost['seconds']['median']:>8.2f} s, {ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f}) x equal"
        )
        lines.append(f"joint step, {name:<32} {shown} {cost['memory_gb']:>6.2f} GB")
    return "\n".join([*lines, f"{'peak memory':<44} {result['peak_memory_gb']:>8.2f} GB"])


def _profile_lines(profile: dict[str, Any]) -> list[str]:
    """Shows the operations that take most of a step, of the original's recipe and of ours."""
    case = f"{profile['layers']}x{profile['hidden_size']}, {profile['rows']}x{profile['length']}"
    lines = []
    for name in ("original", "ours"):
        times = profile[name]
        total, shown = sum(times.values()), list(times.items())[:PROFILE_LINES]
        shown.append(("other operations", total - sum(ms for _, ms in shown)))
        for operation, ms in [("whole step", total), *shown]:
            lines.append(f"step {case}, {name:<9} {operation:<30} {ms:>9.1f} ms {ms / total:>6.1%}")
    return lines


def _line(comparison: Comparison) -> str:
    ours, theirs, ratio = spread(comparison.ours), spread(comparison.theirs), spread(comparison.ratios)
    shown = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
    numbers = f"{ours['median']:>9.2f} {theirs['median']:>9.2f} {comparison.unit:<8}"
    return f"{comparison.what:<44} {numbers} {shown:<22} {comparison.against}"
