"""Conversion: rows a second from texts to TFRecord records."""

import tempfile
import time
from pathlib import Path

from easytransfer_mtl.data.conversion import Conversion, convert_file
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary
from easytransfer_mtl.seeding import DEFAULT_SEED, generator
from easytransfer_mtl.tasks import OCNLI

FIRST_CHARACTER, CHARACTERS = 0x4E00, 3000
MEAN_LENGTHS = (24, 11)
"""Mean characters of OCNLI's premise and hypothesis."""


def conversion_rates(rows: int, rounds: int, sequence_length: int) -> dict[str, list[float]]:
    """Measures generated OCNLI-like pairs; every round starts with an empty tokenizer.

    Returns:
        ``features_rows_per_s`` (tokens and layout only) and ``file_rows_per_s`` (CSV file to TFRecord file), a number a
        round.
    """
    vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + [chr(FIRST_CHARACTER + i) for i in range(CHARACTERS)])
    texts = [(_text(i, 0), _text(i, 1)) for i in range(rows)]
    rates: dict[str, list[float]] = {"features_rows_per_s": [], "file_rows_per_s": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "OCNLI_train.csv"
        source.write_text("".join(f"{i}\t{a}\t{b}\t{i % 3}\n" for i, (a, b) in enumerate(texts)), encoding="utf-8")
        for _ in range(rounds):
            builder = FeatureBuilder(Tokenizer(vocabulary), sequence_length)
            started = time.perf_counter()
            for pair in texts:
                builder.encode(pair)
            rates["features_rows_per_s"].append(rows / (time.perf_counter() - started))
            builder = FeatureBuilder(Tokenizer(vocabulary), sequence_length)
            report = convert_file(Conversion(source, Path(folder) / "train.tfrecord", OCNLI), builder, "error")
            rates["file_rows_per_s"].append(report.rows / report.seconds)
    return rates


def _text(row: int, part: int) -> str:
    random = generator(DEFAULT_SEED, "benchmark text", row, part)
    length = max(2, int(random.poisson(MEAN_LENGTHS[part])))
    return "".join(chr(FIRST_CHARACTER + int(index)) for index in random.integers(0, CHARACTERS, length))
