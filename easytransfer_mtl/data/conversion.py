"""Converts one CSV file to TFRecord, with a manifest and a report."""

import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.config.sections import MAX_BAD_SHARE
from easytransfer_mtl.data.features import Features, RowEncoder
from easytransfer_mtl.data.manifest import Manifest, manifest_path, write_manifest
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.shared_texts import comparable_texts, shared_sentence
from easytransfer_mtl.data.table_reader import TableTally, check_rows, require_rows, stream_rows
from easytransfer_mtl.data.tag_units import NO_TAG, units_of
from easytransfer_mtl.data.tfrecords import serialize, write_tfrecords
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import check_outputs, sha256_of
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.tasks import MULTI_LABEL, SCORE, TAGS, Task


@dataclass(frozen=True)
class Conversion:
    """One file to convert: source CSV, output TFRecord, task, and whether the rows have labels."""

    source: Path
    output: Path
    task: Task
    labelled: bool = True


@dataclass(frozen=True)
class ConversionReport:
    """Counts of rows and tokens of a converted file, and the time it took in seconds.

    ``cut_tags`` is the number of tags behind the cut at the sequence length, in tasks of the type ``tags``.

    ``text_hashes``, int64 [rows], are equal for rows whose texts differ only in width (NFKC), case and the amount of white
    space; they are comparable only within one process.
    """

    conversion: Conversion
    rows: int
    rejected: int
    empty_texts: int
    full_length: int
    tokens: int
    unknown_tokens: int
    seconds: float
    text_hashes: np.ndarray
    cut_tags: int = 0

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
        if self.cut_tags:
            result.append(
                f"warning: {name}: {self.cut_tags} tags are behind the cut at the sequence length; they are not trained or "
                f"scored, and predicted as O"
            )
        if not self.rows:
            result.append(f"warning: {name}: the file has no rows; the output is empty")
        if self.unknown_tokens > 0.1 * self.tokens:
            share = self.unknown_tokens / self.tokens
            result.append(f"warning: {name}: {share:.0%} of the tokens are [UNK]; is it the right vocabulary?")
        return result


@dataclass
class _Counts:
    """Counters of ``ConversionReport``, updated while rows are written."""

    full_length: int = 0
    tokens: int = 0
    unknown: int = 0
    cut_tags: int = 0
    text_hashes: "array[int]" = field(default_factory=lambda: array("q"))


def rejects_path(output: Path) -> Path:
    """Returns the path for the bad rows of an output's source."""
    return Path(f"{output}.rejects.tsv")


def check_sources(
    conversions: Sequence[Conversion], on_bad_row: str, header: bool = False, max_bad_share: float = MAX_BAD_SHARE
) -> None:
    """Reads every source once, so that the problems of all of them are reported before anything is written.

    Raises:
        UserError: sources are missing, empty, or have rows that ``convert_file`` would refuse; lists all problems.
    """
    wrong = []
    for conversion in conversions:
        tally = TableTally(conversion.source, conversion.task, conversion.labelled, header)
        try:
            for _ in stream_rows(tally):
                pass
            check_rows(tally, on_bad_row, max_bad_share=max_bad_share)
            require_rows(tally)
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("\n".join(wrong))


def convert_file(
    conversion: Conversion,
    builder: RowEncoder,
    on_bad_row: str,
    header: bool = False,
    max_bad_share: float = MAX_BAD_SHARE,
) -> ConversionReport:
    """Converts one CSV file; the output and its manifest appear only when complete.

    Args:
        conversion: what to convert.
        builder: tokenizer and length.
        on_bad_row: ``error`` (one error lists all bad rows) or ``skip`` (bad rows go to ``rejects_path`` and are counted).
        header: whether the first line is a header.
        max_bad_share: with ``skip``, the largest share of bad rows.

    Raises:
        UserError: the source is missing, is also the output, or has bad rows that are not skipped or are too many; no file
            is changed then.
    """
    started = time.perf_counter()
    check_outputs([conversion.output], [conversion.source])
    tally = TableTally(conversion.source, conversion.task, conversion.labelled, header)
    source, counts = stream_rows(tally), _Counts()

    def before_complete() -> None:
        rejects = rejects_path(conversion.output)
        check_rows(tally, on_bad_row, rejects, max_bad_share)
        if not tally.bad_rows:
            rejects.unlink(missing_ok=True)
        # An old manifest must never lie beside new records, not even if the process ends between the two steps.
        manifest_path(conversion.output).unlink(missing_ok=True)

    examples = _examples(_while_good(source, tally, on_bad_row), tally, builder, counts)
    rows = write_tfrecords(conversion.output, examples, before_complete)
    write_manifest(conversion.output, _manifest(conversion, builder, rows))
    return ConversionReport(
        conversion,
        rows,
        len(tally.bad_rows),
        tally.empty_texts,
        counts.full_length,
        counts.tokens,
        counts.unknown,
        time.perf_counter() - started,
        np.array(counts.text_hashes, np.int64),
        counts.cut_tags,
    )


def shared_texts(train: ConversionReport, dev: ConversionReport) -> str | None:
    """Returns a warning about the dev rows whose texts occur in the train file too, or None if there are none."""
    shared = int(np.isin(dev.text_hashes, train.text_hashes).sum())
    if not shared:
        return None
    task = dev.conversion.task
    return f"warning: {task.name}: {shared_sentence(task, shared, dev.rows)}"


def _manifest(conversion: Conversion, builder: RowEncoder, rows: int) -> Manifest:
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
        vocabulary_rule=tokenizer.vocabulary.rule,
        tokenizer=tokenizer.vocabulary.tokenizer,
    )


def _while_good(source: Iterator[Row], tally: TableTally, on_bad_row: str) -> Iterator[Row]:
    """Yields rows; if bad rows are an error, stops after the first one and reads on only to find the others."""
    for row in source:
        if on_bad_row == "skip" or not tally.bad_rows:
            yield row


def _examples(source: Iterator[Row], tally: TableTally, builder: RowEncoder, counts: _Counts) -> Iterator[bytes]:
    task = tally.task
    unlabelled: Any = {MULTI_LABEL: [0] * task.num_labels, SCORE: 0.0}.get(task.type, 0)
    unknown, padding = builder.tokenizer.vocabulary.unknown_id, builder.tokenizer.vocabulary.padding_id
    size = tally.path.stat().st_size
    with progress_bar(size, f"convert {tally.path.name}", "B", unit_scale=True) as bar:
        for row in source:
            features, target = _encoded(row, task, builder, unlabelled, counts)
            counts.text_hashes.append(hash(comparable_texts(row.texts)))
            counts.full_length += len(features.input_ids) == builder.sequence_length
            counts.tokens += len(features.input_ids)
            counts.unknown += features.input_ids.count(unknown)
            yield serialize(features, target, builder.sequence_length, padding, task.type == TAGS)
            bar.update(tally.bytes_read - bar.n)


def _encoded(row: Row, task: Task, builder: RowEncoder, unlabelled: Any, counts: _Counts) -> tuple[Features, Any]:
    """Returns a row's tokens and its target; of tags the target is one a token."""
    if task.type != TAGS:
        return builder.encode(row.texts), unlabelled if row.label is None else task.target(row.label)
    units = units_of(row.texts[0], task.unit)
    found = builder.encode_units(units)
    counts.cut_tags += 0 if row.label is None else found.cut
    target: Any = [NO_TAG] * len(units) if row.label is None else task.target(row.label)
    return found.features, found.of_tokens(target)
