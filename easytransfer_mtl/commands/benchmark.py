"""Measures conversion and training on this machine and prints a table (and JSON)."""

import statistics
import time
from typing import Any

from easytransfer_mtl.benchmarking.conversion_speed import conversion_rates
from easytransfer_mtl.benchmarking.lengths import measured_histograms, rows_of_lengths, stored_histograms
from easytransfer_mtl.benchmarking.machine import machine_facts, peak_memory_gb
from easytransfer_mtl.benchmarking.start_up import start_up_seconds
from easytransfer_mtl.benchmarking.training_speed import MODES, TrainingSpeed, tokens_per_row, training_rates
from easytransfer_mtl.config.settings import BenchmarkSettings
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import write_json
from easytransfer_mtl.seeding import DEFAULT_SEED
from easytransfer_mtl.tasks import CONTEST_TASKS

BERT_BASE_CHINESE_VOCABULARY = 21128


def run(settings: BenchmarkSettings) -> int:
    """Measures, prints, and writes ``output``; returns the exit status."""
    started = time.perf_counter()
    histograms = _histograms(settings)
    length = settings.sequence_length
    rows = [
        rows_of_lengths(histograms[task.name], length, BERT_BASE_CHINESE_VOCABULARY, task, DEFAULT_SEED)
        for task in CONTEST_TASKS
    ]
    conversion = conversion_rates(settings.convert_rows, settings.rounds, length)
    speed = TrainingSpeed(settings.layers, settings.hidden_size, BERT_BASE_CHINESE_VOCABULARY, CONTEST_TASKS)
    training = training_rates(speed, rows, CONTEST_TASKS, settings.train_batch_size, length, settings.rounds)
    result: dict[str, Any] = {
        "machine": machine_facts(),
        "settings": {
            "layers": settings.layers,
            "hidden_size": settings.hidden_size,
            "batch_size": settings.train_batch_size,
            "sequence_length": length,
            "rounds": settings.rounds,
            "precision": "float32",
        },
        "conversion": {name: _spread(values) for name, values in conversion.items()},
        "training_rows_per_s": {name: _spread(values) for name, values in training.items()},
        "ratio_to_padded": {
            name: _spread([value / base for value, base in zip(values, training["padded"])])
            for name, values in training.items()
        },
        "padded_tokens_per_row": {
            mode.name: tokens_per_row(rows, CONTEST_TASKS, mode, settings.train_batch_size, length) for mode in MODES
        },
        "setup_seconds": {
            **start_up_seconds(settings.rounds),
            "build_model": speed.build_seconds,
            "trace_and_first_steps": speed.trace_seconds,
        },
        "peak_memory_gb": peak_memory_gb(),
        "seconds": time.perf_counter() - started,
    }
    print(_table(result))
    if settings.output:
        write_json(settings.output, result)
        print(f"wrote {settings.output}")
    return 0


def _histograms(settings: BenchmarkSettings) -> dict[str, dict[int, int]]:
    if not settings.data_dir:
        return stored_histograms()
    if not settings.tokenizer_name_or_path:
        raise UserError("benchmark with --data_dir needs --tokenizer_name_or_path to count tokens.")
    files = find_encoder(settings.tokenizer_name_or_path, settings.modelZooBasePath, needs_weights=False)
    tokenizer = Tokenizer(load_vocabulary(files.vocabulary_file), "nfkc")
    return measured_histograms(settings.data_dir, CONTEST_TASKS, FeatureBuilder(tokenizer, 512))


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _table(result: dict[str, Any]) -> str:
    machine, settings = result["machine"], result["settings"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load_1min']:.1f}, "
        f"TensorFlow {machine['versions']['tensorflow']}",
        f"BERT {settings['layers']} layers x {settings['hidden_size']}, batch {settings['batch_size']}, "
        f"{settings['rounds']} rounds; median (min to max)",
        "",
    ]
    rates = {f"conversion, {name}": value for name, value in result["conversion"].items()}
    rates |= {f"training rows/s, {name}": value for name, value in result["training_rows_per_s"].items()}
    rates |= {f"ratio to padded, {name}": value for name, value in result["ratio_to_padded"].items()}
    lines += [
        f"{name:<42} {value['median']:>10.2f}  ({value['min']:.2f} to {value['max']:.2f})" for name, value in rates.items()
    ]
    lines += [
        f"{'padded tokens a row, ' + name:<42} {value:>10.1f}" for name, value in result["padded_tokens_per_row"].items()
    ]
    lines += [f"{'set-up seconds, ' + name:<42} {value:>10.1f}" for name, value in result["setup_seconds"].items()]
    return "\n".join([*lines, f"{'peak memory, GB':<42} {result['peak_memory_gb']:>10.2f}"])
