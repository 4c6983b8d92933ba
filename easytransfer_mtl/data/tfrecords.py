"""TFRecord files with EasyTransfer's features: input_ids, input_mask, segment_ids and label_id, all int64.

Rows with several labels have a label_id of 0 or 1 for every label, rows with a number a feature label_value, float32, rows
with tags a label_id for every token: the tag of the character or word that it begins, or -1.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.datasets import without_tuning
from easytransfer_mtl.data.encoded_rows import EncodedRows, bits_of, concatenate, from_arrays
from easytransfer_mtl.data.features import Features
from easytransfer_mtl.data.manifest import read_manifest
from easytransfer_mtl.data.tag_units import NO_TAG
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing, why_no_file
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, SCORE, TAGS

SEQUENCE_FEATURES = ("input_ids", "input_mask", "segment_ids")
LABEL_FEATURE, NUMBER_FEATURE = "label_id", "label_value"
RECORDS_PER_READ = 2048
HEAD_BYTES, FRAME_BYTES = 12, 16
"""Bytes before a record (length and checksum), and all bytes around it (another checksum follows the record)."""


def serialize(
    features: Features,
    target: int | Sequence[int] | float,
    sequence_length: int,
    padding_id: int = 0,
    has_tags: bool = False,
) -> bytes:
    """Returns one row as a serialized tf.train.Example, padded to ``sequence_length`` with ``padding_id`` and zeros.

    Args:
        features: the row's tokens.
        target: see ``Task.target``; a number must be a float, tags are one a token.
        sequence_length: the padded length.
        padding_id: the padding's token id.
        has_tags: whether the target is tags, which are padded too.
    """
    length = len(features.input_ids)
    padding = [0] * (sequence_length - length)
    values = {
        "input_ids": features.input_ids + [padding_id] * len(padding),
        "input_mask": [1] * length + padding,
        "segment_ids": [0] * features.first_length + [1] * (length - features.first_length) + padding,
    }
    example = tf.train.Example()
    if isinstance(target, float):
        example.features.feature[NUMBER_FEATURE].float_list.value.append(target)
    else:
        values[LABEL_FEATURE] = [target] if isinstance(target, int) else list(target)
        values[LABEL_FEATURE] += [NO_TAG] * len(padding) if has_tags else []
    for name, content in values.items():
        example.features.feature[name].int64_list.value.extend(content)
    return example.SerializeToString(deterministic=True)


def write_tfrecords(
    path: str | os.PathLike[str], examples: Iterable[bytes], before_complete: Callable[[], None] = lambda: None
) -> int:
    """Writes an uncompressed TFRecord file, whole or not at all.

    Args:
        path: the file.
        examples: serialized tf.train.Examples.
        before_complete: called after the last example, before the file gets its final name; an exception prevents that.

    Returns:
        The number of examples.
    """
    count = 0
    with replacing(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for example in examples:
                writer.write(example)
                count += 1
        before_complete()
    return count


def read_tfrecords(path: str | os.PathLike[str], num_labels: int, vocabulary_size: int, kind: str = CLASSIFY) -> EncodedRows:
    """Reads a whole TFRecord file and checks every row.

    Args:
        path: the file, written by this program or by EasyTransfer.
        num_labels: label ids must be smaller.
        vocabulary_size: token ids must be smaller.
        kind: the type of the task.

    Raises:
        UserError: the file is missing, truncated or corrupt; a record (the message gives its number) has other features or
            ids out of range; or the manifest beside the file has another number of rows.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"TFRecord file {path} {why_no_file(path)}.")
    _check_lengths(path)
    parts: list[EncodedRows] = []
    size = length = 0
    label = _label_of(num_labels, kind)
    dataset = tf.data.TFRecordDataset(str(path)).with_options(without_tuning())
    try:
        for serialized in dataset.batch(RECORDS_PER_READ):
            length = length or _sequence_length(path, serialized[0].numpy(), label)
            parts.append(_parse(serialized, length, label, path, sum(map(len, parts)), vocabulary_size))
            size += int(tf.reduce_sum(tf.strings.length(serialized))) + FRAME_BYTES * len(parts[-1])
    except tf.errors.DataLossError as error:
        raise UserError(
            f"TFRecord file {path} is corrupt or truncated at record {_good_records(dataset)} (counted from 0): "
            f"{error.message}. Convert it again."
        ) from None
    rows = concatenate(parts)
    if kind == TAGS and rows.tag_ids is None:  # the file has no rows
        rows = replace(rows, tag_ids=np.zeros(0, np.int32))
    _check_complete(path, len(rows), size)
    return rows


def _check_complete(path: Path, rows: int, size: int) -> None:
    """Raises UserError for what TensorFlow ignores at the end of a file: an incomplete record head, and missing records."""
    surplus = path.stat().st_size - size
    if surplus:
        raise UserError(
            f"TFRecord file {path} is corrupt or truncated at record {rows} (counted from 0): only {surplus} bytes of it "
            "are there. Convert it again."
        )
    manifest = read_manifest(path)
    if manifest and manifest.rows != rows:
        raise UserError(f"TFRecord file {path} has {rows} rows, its manifest says {manifest.rows}. Convert it again.")


def _check_lengths(path: Path) -> int:
    """Returns the number of records that the lengths in a file say.

    Raises:
        UserError: a length exceeds the file; TensorFlow would allocate that much memory first.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        number = place = 0
        while len(head := stream.read(HEAD_BYTES)) == HEAD_BYTES:
            place += FRAME_BYTES + int.from_bytes(head[:8], "little")
            if place > size:
                # A damaged length of an earlier record may have led here.
                good = _good_records(tf.data.TFRecordDataset(str(path)).take(number))
                raise UserError(
                    f"TFRecord file {path} is corrupt or truncated at record {good} (counted from 0): a record says that it "
                    "is longer than what is left of the file. Convert it again."
                )
            stream.seek(place)
            number += 1
    return number


def count_records(path: str | os.PathLike[str]) -> int:
    """Returns the number of records in a file, whatever their content: checksums are not looked at."""
    return _check_lengths(Path(path))


def padded_length_of(path: str | os.PathLike[str]) -> int:
    """Returns the padded length of a TFRecord file's rows, read from its first record; 0 for an empty file."""
    if not _check_lengths(Path(path)):
        return 0
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(HEAD_BYTES)[:8], "little")
        return _sequence_length(Path(path), stream.read(length))


class _Label(NamedTuple):
    """A record's label: the task's type, the feature, how many values it has, and what these must be less than.

    A size of 0 stands for one value a token.
    """

    kind: str
    feature: str
    size: int
    end: float


def _label_of(num_labels: int, kind: str) -> _Label:
    if kind == SCORE:
        return _Label(kind, NUMBER_FEATURE, 1, np.inf)
    if kind == TAGS:
        return _Label(kind, LABEL_FEATURE, 0, num_labels)
    return _Label(kind, LABEL_FEATURE, num_labels, 2) if kind == MULTI_LABEL else _Label(kind, LABEL_FEATURE, 1, num_labels)


def _sequence_length(path: Path, first: bytes, label: _Label | None = None) -> int:
    """Returns the padded length of a file's first record.

    Raises:
        UserError: the record is not a tf.train.Example with the expected features.
    """
    try:
        example = tf.train.Example.FromString(first)
    except Exception as error:  # protobuf's DecodeError has no public import path common to all versions
        raise UserError(f"TFRecord file {path}, record 0: not a tf.train.Example ({error}).") from None
    found = {name: len(value.int64_list.value) for name, value in example.features.feature.items()}
    if label and label.kind == SCORE and label.feature in found:
        found[label.feature] = len(example.features.feature[label.feature].float_list.value)
    lengths = {found.get(name, 0) for name in SEQUENCE_FEATURES}
    if len(lengths) != 1 or 0 in lengths or (label and found.get(label.feature) != (label.size or max(lengths))):
        wanted = label or _label_of(1, CLASSIFY)
        size = f"of length {wanted.size}" if wanted.size else "of the same length"
        raise UserError(
            f"TFRecord file {path}, record 0: expected int64 features {', '.join(SEQUENCE_FEATURES)} of one length "
            f"and {wanted.feature} {size}, found {found}."
        )
    return lengths.pop()


def _parse(serialized: tf.Tensor, length: int, label: _Label, path: Path, first: int, vocabulary_size: int) -> EncodedRows:
    parsed = _parse_examples(serialized, length, label, path, first)
    ids, mask, segments = (parsed[name] for name in SEQUENCE_FEATURES)
    labels = parsed[label.feature]
    if label.kind == SCORE:
        wrong_label = {"label_value is no finite number": ~np.isfinite(labels)}
    elif label.kind == TAGS:
        what = f"label_id is not in -1..{label.end - 1}, the task's tags, or not -1 at the padding"
        wrong_label = {what: (labels < NO_TAG) | (labels >= label.end) | ((labels != NO_TAG) & (mask == 0))}
    else:
        what = "the task's labels" if label.kind == CLASSIFY else "for every label"
        wrong_label = {f"label_id is not in 0..{label.end - 1}, {what}": (labels < 0) | (labels >= label.end)}
    lengths = mask.sum(axis=1)
    problems = {
        f"input_ids are not all in 0..{vocabulary_size - 1}, the model's vocabulary": (ids < 0) | (ids >= vocabulary_size),
        "segment_ids are not all 0 or 1": (segments < 0) | (segments > 1),
        "input_mask is not ones followed by zeros": mask != (np.arange(length) < lengths[:, None]),
        "input_mask has no real token": lengths[:, None] < 1,
        **wrong_label,
    }
    for problem, wrong in problems.items():
        if wrong.any():
            row = int(np.flatnonzero(wrong.any(axis=1))[0])
            raise UserError(f"TFRecord file {path}, record {first + row} (counted from 0): {problem}.")
    if label.kind == TAGS:
        return from_arrays(ids, lengths, segments, np.zeros(len(ids), np.int32), labels)
    if label.kind == SCORE:
        labels = bits_of(labels)
    return from_arrays(ids, lengths, segments, labels if label.kind == MULTI_LABEL else labels[:, 0])


def _parse_examples(serialized: tf.Tensor, length: int, label: _Label, path: Path, first: int) -> dict[str, np.ndarray]:
    # A value takes at least one byte. TensorFlow allocates all rows before it finds that one is too short.
    short = np.flatnonzero(tf.strings.length(serialized).numpy() < len(SEQUENCE_FEATURES) * length)
    if len(short):
        raise UserError(
            f"TFRecord file {path}, record {first + short[0]} (counted from 0): it is too short for {length} values of "
            f"{', '.join(SEQUENCE_FEATURES)} each, as record 0 has."
        )
    spec = {name: tf.io.FixedLenFeature([length], tf.int64) for name in SEQUENCE_FEATURES}
    spec[label.feature] = tf.io.FixedLenFeature([label.size or length], tf.float32 if label.kind == SCORE else tf.int64)
    try:
        return {name: value.numpy() for name, value in tf.io.parse_example(serialized, spec).items()}
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        # UnicodeDecodeError occurs where TensorFlow quotes the record's bytes in its message.
        if len(serialized) == 1:
            reason = getattr(error, "message", "not a tf.train.Example")
            raise UserError(f"TFRecord file {path}, record {first} (counted from 0): {reason}") from None
    for place in range(len(serialized)):
        _parse_examples(serialized[place : place + 1], length, label, path, first + place)
    raise AssertionError("every record can be parsed alone, but not all together")


def _good_records(dataset: tf.data.Dataset) -> int:
    count = 0
    try:
        for _ in dataset:
            count += 1
    except tf.errors.DataLossError:
        pass
    return count
