"""TFRecord files with EasyTransfer's features: input_ids, input_mask, segment_ids and label_id, all int64."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import EncodedRows, concatenate, from_arrays
from easytransfer_mtl.data.features import Features
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing

SEQUENCE_FEATURES = ("input_ids", "input_mask", "segment_ids")
LABEL_FEATURE = "label_id"
RECORDS_PER_READ = 2048


def serialize(features: Features, label_id: int, sequence_length: int) -> bytes:
    """Returns the tf.train.Example of one row, padded with zeros to ``sequence_length``."""
    length = len(features.input_ids)
    padding = [0] * (sequence_length - length)
    values = {
        "input_ids": features.input_ids + padding,
        "input_mask": [1] * length + padding,
        "segment_ids": [0] * features.first_length + [1] * (length - features.first_length) + padding,
        LABEL_FEATURE: [label_id],
    }
    example = tf.train.Example()
    for name, content in values.items():
        example.features.feature[name].int64_list.value.extend(content)
    return example.SerializeToString(deterministic=True)


def write_tfrecords(path: str | os.PathLike[str], examples: Iterable[bytes]) -> int:
    """Writes serialized examples to an uncompressed TFRecord file, whole or not at all; returns their number."""
    count = 0
    with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for example in examples:
            writer.write(example)
            count += 1
    return count


def read_tfrecords(path: str | os.PathLike[str], num_labels: int, vocabulary_size: int) -> EncodedRows:
    """Reads a whole TFRecord file and checks every row.

    Args:
        path: the file, written by this program or by EasyTransfer.
        num_labels: label ids must be below it.
        vocabulary_size: token ids must be below it.

    Raises:
        UserError: the file is missing, truncated or corrupt (the record is named), has other features, or a row's ids
            are out of range (its number is named).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"TFRecord file {path} does not exist.")
    parts: list[EncodedRows] = []
    dataset = tf.data.TFRecordDataset(str(path))
    try:
        length = _sequence_length(path, dataset)
        for serialized in dataset.batch(RECORDS_PER_READ) if length else ():
            parts.append(_parse(serialized, length, path, sum(map(len, parts)), num_labels, vocabulary_size))
    except tf.errors.DataLossError as error:
        raise UserError(
            f"TFRecord file {path} is corrupt or truncated at record {_good_records(dataset)} (counted from 0): "
            f"{error.message}. Convert it again."
        ) from None
    return concatenate(parts)


def padded_length_of(path: str | os.PathLike[str]) -> int:
    """Returns the padded length of a TFRecord file's rows, read off its first record; 0 for an empty file."""
    return _sequence_length(Path(path), tf.data.TFRecordDataset(str(path)))


def _sequence_length(path: Path, dataset: tf.data.Dataset) -> int:
    """Returns the padded length, read off the first record; 0 for an empty file."""
    for serialized in dataset.take(1):
        try:
            example = tf.train.Example.FromString(serialized.numpy())
        except Exception as error:  # protobuf's DecodeError has no common public home across its versions
            raise UserError(f"TFRecord file {path}, record 0: not a tf.train.Example ({error}).") from None
        found = {name: len(value.int64_list.value) for name, value in example.features.feature.items()}
        lengths = {found.get(name, 0) for name in SEQUENCE_FEATURES}
        if len(lengths) != 1 or 0 in lengths or found.get(LABEL_FEATURE) != 1:
            raise UserError(
                f"TFRecord file {path}, record 0: expected int64 features {', '.join(SEQUENCE_FEATURES)} of one length "
                f"and {LABEL_FEATURE} of length 1, found {found}."
            )
        return lengths.pop()
    return 0


def _parse(
    serialized: tf.Tensor, length: int, path: Path, first: int, num_labels: int, vocabulary_size: int
) -> EncodedRows:
    spec = {name: tf.io.FixedLenFeature([length], tf.int64) for name in SEQUENCE_FEATURES}
    spec[LABEL_FEATURE] = tf.io.FixedLenFeature([1], tf.int64)
    try:
        parsed = {name: value.numpy() for name, value in tf.io.parse_example(serialized, spec).items()}
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"TFRecord file {path}, records from {first}: {error.message}") from None
    ids, mask, segments = (parsed[name] for name in SEQUENCE_FEATURES)
    labels = parsed[LABEL_FEATURE][:, 0]
    lengths = mask.sum(axis=1)
    problems = {
        f"input_ids are not all in 0..{vocabulary_size - 1}, the model's vocabulary": (ids < 0) | (ids >= vocabulary_size),
        "segment_ids are not all 0 or 1": (segments < 0) | (segments > 1),
        "input_mask is not ones followed by zeros": mask != (np.arange(length) < lengths[:, None]),
        "input_mask has no real token": lengths[:, None] < 1,
        f"label_id is not in 0..{num_labels - 1}, the task's labels": ((labels < 0) | (labels >= num_labels))[:, None],
    }
    for problem, wrong in problems.items():
        if wrong.any():
            row = int(np.flatnonzero(wrong.any(axis=1))[0])
            raise UserError(f"TFRecord file {path}, record {first + row} (counted from 0): {problem}.")
    return from_arrays(ids, lengths, segments, labels)


def _good_records(dataset: tf.data.Dataset) -> int:
    count = 0
    try:
        for _ in dataset:
            count += 1
    except tf.errors.DataLossError:
        pass
    return count
