"""Conversion: the contest's files from CSV to TFRecord, as a process of its own, start-up included."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.comparison import Comparison
from easytransfer_mtl.data.contest_files import find_labelled
from easytransfer_mtl.seeding import DEFAULT_SEED, generator
from easytransfer_mtl.tasks import Task

ORIGINAL_ROWS_PER_S, ORIGINAL_START_UP = 4000.0, 2.8
"""Measured on EasyTransfer itself, with TensorFlow 1: it converts a file a process."""
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
FIRST_CHARACTER, CHARACTERS = 0x4E00, 6000


def conversion_speed(data_dir: Path, vocabulary: Path, tasks: tuple[Task, ...], rounds: int) -> Comparison:
    """Converts train and dev files of a folder once a round.

    Args:
        data_dir: contest files.
        vocabulary: folder with a vocab.txt and a config.json.
        tasks: the tasks.
        rounds: how often.
    """
    files = [path for found in find_labelled(data_dir, tasks) for path in found.values()]
    rows = sum(path.read_bytes().count(b"\n") for path in files)
    original = rows / (rows / ORIGINAL_ROWS_PER_S + ORIGINAL_START_UP * len(files))
    rates = [rows / _seconds(data_dir, vocabulary) for _ in range(rounds)]
    return Comparison(f"conversion of {len(files)} files", "rows/s", rates, "EasyTransfer (recorded)", [original] * rounds)


def _seconds(data_dir: Path, vocabulary: Path) -> float:
    command = [sys.executable, "-m", "easytransfer_mtl", "convert", f"--data_dir={data_dir}"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        arguments = [f"--output_dir={folder}", f"--tokenizer_name_or_path={vocabulary}"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)
        return time.perf_counter() - started


def write_generated_files(folder: Path, histograms: dict[str, dict[int, int]], tasks: tuple[Task, ...]) -> None:
    """Writes train files of random Chinese characters with the rows and lengths of histograms, and their vocab.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = [chr(FIRST_CHARACTER + index) for index in range(CHARACTERS)]
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, *characters]) + "\n", encoding="utf-8")
    for task in tasks:
        random = generator(DEFAULT_SEED, "benchmark text", task.name)
        sizes = [size for size, count in histograms[task.name].items() for _ in range(count)]
        lines = [
            _line(task, number, size, random.integers(0, CHARACTERS, size), characters) for number, size in enumerate(sizes)
        ]
        (folder / f"{task.name}_train.csv").write_text("".join(lines), encoding="utf-8")


def _line(task: Task, number: int, size: int, drawn: list[int], characters: list[str]) -> str:
    text = "".join(characters[index] for index in drawn[: max(2, size - (3 if task.second_sequence else 2))])
    middle = len(text) // 2 if task.second_sequence else len(text)
    values = dict.fromkeys(task.columns, str(number)) | {task.first_sequence: text[:middle]}
    if task.second_sequence:
        values[task.second_sequence] = text[middle:]
    values[task.label_name] = task.label_enumerate_values[number % task.num_labels]
    return "\t".join(values[column] for column in task.columns) + "\n"
