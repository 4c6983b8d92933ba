"""CSV to TFRecord: one file, with its manifest and a report."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from easytransfer_mtl.data.csv_reader import CsvTally, Row, check_rows, stream_rows
from easytransfer_mtl.data.features import FeatureBuilder, Features
from easytransfer_mtl.data.manifest import Manifest, manifest_path, write_manifest
from easytransfer_mtl.data.tfrecords import serialize, write_tfrecords
from easytransfer_mtl.files import check_outputs, replacing, sha256_of
from easytransfer_mtl.tasks import Task


@dataclass(frozen=True)
class Conversion:
    """One file to convert: source CSV, output TFRecord, the task, and whether the rows have labels."""

    source: Path
    output: Path
    task: Task
    labelled: bool = True


@dataclass(frozen=True)
class ConversionReport:
    """What became of a file: counts of rows and tokens, and the seconds it took."""

    conversion: Conversion
    rows: int
    rejected: int
    empty_texts: int
    full_length: int
    tokens: int
    unknown_tokens: int
    seconds: float

    def lines(self) -> list[str]:
        """Returns the report as lines for a terminal; warnings start with ``warning:``."""
        name, rate = self.conversion.source.name, self.rows / max(self.seconds, 1e-9)
        result = [
            f"{self.conversion.task.name}: {name} -> {self.conversion.output}: {self.rows} rows in {self.seconds:.1f} s "
            f"({rate:,.0f} rows/s), {self.tokens / max(self.rows, 1):.1f} tokens a row, {self.full_length} rows at full "
            "length"
        ]
        if self.rejected:
            result.append(f"warning: {name}: {self.rejected} bad rows set aside in {rejects_path(self.conversion.output)}")
        if self.empty_texts:
            result.append(f"warning: {name}: {self.empty_texts} rows have an empty text")
        if not self.rows:
            result.append(f"warning: {name}: the file has no rows; the output is empty")
        if self.unknown_tokens > 0.1 * self.tokens:
            share = self.unknown_tokens / self.tokens
            result.append(f"warning: {name}: {share:.0%} of the tokens are [UNK]; is it the right vocabulary?")
        return result


def rejects_path(output: Path) -> Path:
    """Returns where the bad rows of an output's source go."""
    return Path(f"{output}.rejects.tsv")


def convert_file(conversion: Conversion, builder: FeatureBuilder, on_bad_row: str, header: bool = False) -> ConversionReport:
    """Converts one CSV file; the output and its manifest appear only when complete.

    Args:
        conversion: what to convert.
        builder: tokenizer and length.
        on_bad_row: ``error`` (all bad rows in one error) or ``skip`` (set aside and counted).
        header: whether the first line is a header.

    Raises:
        UserError: the source is missing, is the output too, or has bad rows.
    """
    started = time.perf_counter()
    task = conversion.task
    check_outputs([conversion.output], [conversion.source])
    tally = CsvTally(conversion.source)
    source = stream_rows(tally, task, conversion.labelled, header)
    counts = {"full": 0, "tokens": 0, "unknown": 0}
    rejects = rejects_path(conversion.output)
    with replacing(conversion.output) as complete:
        rows = write_tfrecords(complete, _examples(_while_good(source, tally, on_bad_row), tally, task, builder, counts))
        check_rows(tally, on_bad_row, rejects)
        if not tally.bad_rows:
            rejects.unlink(missing_ok=True)
        # An old manifest must never stand beside new records, not even if the process ends between the two.
        manifest_path(conversion.output).unlink(missing_ok=True)
    write_manifest(conversion.output, _manifest(conversion, builder, rows))
    return ConversionReport(
        conversion,
        rows,
        len(tally.bad_rows),
        tally.empty_texts,
        counts["full"],
        counts["tokens"],
        counts["unknown"],
        time.perf_counter() - started,
    )


def _manifest(conversion: Conversion, builder: FeatureBuilder, rows: int) -> Manifest:
    tokenizer = builder.tokenizer
    return Manifest(
        task=conversion.task,
        rows=rows,
        labelled=conversion.labelled,
        sequence_length=builder.sequence_length,
        text_normalization=tokenizer.text_normalization,
        vocabulary_sha256=tokenizer.vocabulary.sha256,
        vocabulary_size=len(tokenizer.vocabulary),
        source=conversion.source.name,
        source_sha256=sha256_of(conversion.source),
    )


def _while_good(source: Iterator[Row], tally: CsvTally, on_bad_row: str) -> Iterator[Row]:
    """Yields rows until one is bad and an error is certain; the rest is read for its bad rows only."""
    for row in source:
        if on_bad_row == "skip" or not tally.bad_rows:
            yield row


def _examples(
    source: Iterator[Row], tally: CsvTally, task: Task, builder: FeatureBuilder, counts: dict[str, int]
) -> Iterator[bytes]:
    label_ids = {label: index for index, label in enumerate(task.label_enumerate_values)}
    unknown = builder.tokenizer.vocabulary.ids["[UNK]"]
    size = tally.path.stat().st_size
    with tqdm(total=size, desc=f"convert {tally.path.name}", unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for row in source:
            features: Features = builder.encode(row.texts)
            counts["full"] += len(features.input_ids) == builder.sequence_length
            counts["tokens"] += len(features.input_ids)
            counts["unknown"] += features.input_ids.count(unknown)
            yield serialize(features, label_ids[row.label] if row.label is not None else 0, builder.sequence_length)
            bar.update(tally.bytes_read - bar.n)
