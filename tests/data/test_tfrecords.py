"""TFRecord files equal the original's, and damaged or foreign ones are refused by file and record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.data import tfrecords
from easytransfer_mtl.data.conversion import Conversion, convert_file
from easytransfer_mtl.data.encoded_rows import targets_of
from easytransfer_mtl.data.features import FeatureBuilder, Features
from easytransfer_mtl.data.tfrecords import padded_length_of, read_tfrecords, serialize, write_tfrecords
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS, task_named

GOLDEN = Path(__file__).parents[1] / "golden"
PREPROCESS = GOLDEN / "preprocess"
NAMES = [f"{task.name}_{kind}" for task in CONTEST_TASKS for kind in ("train", "dev")]
VOCABULARY = load_vocabulary(GOLDEN / "checkpoint" / "pai-bert-tiny-zh" / "vocab.txt")
SEQUENCES = ("input_ids", "input_mask", "segment_ids")


def golden_examples(name: str) -> list[dict[str, Any]]:
    return json.loads((PREPROCESS / f"{name}.json").read_text(encoding="utf-8"))


def decoded(path: Path) -> list[dict[str, dict[str, Any]]]:
    examples = []
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        assert all(value.WhichOneof("kind") == "int64_list" for value in features.values())
        examples.append({name: {"dtype": "int64", "list": list(value.int64_list.value)} for name, value in features.items()})
    return examples


def example(**features: list[int] | list[float]) -> bytes:
    result = tf.train.Example()
    for name, values in features.items():
        kind = "float_list" if values and isinstance(values[0], float) else "int64_list"
        getattr(result.features.feature[name], kind).value.extend(values)
    return result.SerializeToString()


def row(ids: tuple[int, ...] = (2, 5, 3), length: int = 6, label: int = 1, **changes: list[int] | list[float]) -> bytes:
    padding = [0] * (length - len(ids))
    features: dict[str, Any] = {
        "input_ids": [*ids, *padding],
        "input_mask": [1] * len(ids) + padding,
        "segment_ids": [0] * length,
        "label_id": [label],
    }
    features = {name: values for name, values in {**features, **changes}.items() if values is not None}
    return example(**features)


def write(path: Path, *records: bytes) -> Path:
    write_tfrecords(path, records)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_tfrecords(path, num_labels=3, vocabulary_size=10)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_conversion_equals_the_original_feature_for_feature(tmp_path: Path, name: str) -> None:
    output = tmp_path / "out.tfrecord"
    task = task_named(name.split("_")[0], CONTEST_TASKS)
    convert_file(Conversion(PREPROCESS / f"{name}.csv", output, task), FeatureBuilder(Tokenizer(VOCABULARY), 128), "error")
    assert decoded(output) == decoded(PREPROCESS / f"{name}.tfrecord") == golden_examples(name)
    assert output.stat().st_size == (PREPROCESS / f"{name}.tfrecord").stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_the_originals_files_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecords, "RECORDS_PER_READ", 7)  # several reads, the last one short
    task = task_named(name.split("_")[0], CONTEST_TASKS)
    path, expected = PREPROCESS / f"{name}.tfrecord", golden_examples(name)
    rows = read_tfrecords(path, task.num_labels, len(VOCABULARY))
    assert padded_length_of(path) == 128
    batch = rows.batch(np.arange(len(rows)), np.array([128]))
    for feature in SEQUENCES:
        np.testing.assert_array_equal(batch[feature], [item[feature]["list"] for item in expected])
    np.testing.assert_array_equal(batch["label_ids"], [item["label_id"]["list"][0] for item in expected])


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [(Features([2, 9, 3], 3), 0), (Features([2, 9, 8, 3, 7, 3], 4), 2), (Features([2, 3], 2), 1)]
    path = tmp_path / "file.tfrecord"
    assert write_tfrecords(path, (serialize(features, label, 6) for features, label in rows)) == 3
    read = read_tfrecords(path, 3, 10)
    assert read.lengths.tolist() == [3, 6, 2]
    assert read.input_ids.tolist() == [2, 9, 3, 2, 9, 8, 3, 7, 3, 2, 3]
    assert read.segment_ids.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert read.label_ids.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("kind", "targets", "wanted"),
    [
        ("multi_label", [[0, 1, 1], [0, 0, 0]], np.array([[0, 1, 1], [0, 0, 0]])),
        ("score", [0.1, -2.5e10], np.array([0.1, -2.5e10], np.float32)),
    ],
)
def test_labels_of_other_types_come_back(tmp_path: Path, kind: str, targets: list[Any], wanted: np.ndarray) -> None:
    path = tmp_path / "file.tfrecord"
    write_tfrecords(path, (serialize(Features([2, 3], 2), target, 6) for target in targets))
    rows = read_tfrecords(path, 3 if kind == "multi_label" else 1, 10, kind)
    assert rows.label_ids.dtype == np.int32
    np.testing.assert_array_equal(targets_of(rows.label_ids, kind), wanted)
    np.testing.assert_array_equal(rows.take(np.array([1, 0])).batch(np.arange(2))["label_ids"], rows.label_ids[::-1])
    for other, labels in (("classify", 3), ("multi_label", 4), ("score", 1), ("multi_label", 3)):
        if (other, labels) != (kind, 3 if kind == "multi_label" else 1):
            with pytest.raises(UserError, match="record 0: expected int64 features"):
                read_tfrecords(path, labels, 10, other)


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [("multi_label", [0, 2], r"label_id is not in 0..1, for every label"), ("score", float("nan"), "no finite number")],
)
def test_labels_of_other_types_are_checked(tmp_path: Path, kind: str, target: Any, message: str) -> None:
    path = tmp_path / "file.tfrecord"
    write_tfrecords(path, [serialize(Features([2, 3], 2), target, 6)])
    with pytest.raises(UserError, match=message):
        read_tfrecords(path, 2, 10, kind)


def test_writing_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def examples() -> Any:
        yield row()
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        write_tfrecords(tmp_path / "file.tfrecord", examples())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "file.tfrecord")
    assert path.stat().st_size == 0
    rows = read_tfrecords(path, 3, 10)
    assert (len(rows), rows.lengths.tolist(), padded_length_of(path)) == (0, [], 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.tfrecord")
    assert "is a folder, not a file" in refusal(tmp_path)


RECORD = len(row()) + 16


@pytest.mark.parametrize(
    ("size", "record"),
    [(5, 0), (12, 0), (RECORD - 1, 0), (RECORD + 1, 1), (2 * RECORD - 5, 1), (4 * RECORD + 30, 4), (5 * RECORD - 1, 4)],
)
def test_a_truncated_file_names_its_record(tmp_path: Path, size: int, record: int) -> None:
    path = write(tmp_path / "file.tfrecord", *[row()] * 5)
    content = path.read_bytes()
    assert len(content) == 5 * RECORD
    path.write_bytes(content[:size])
    assert f"corrupt or truncated at record {record} " in refusal(path)


@pytest.mark.parametrize(
    ("place", "record"), [(0, 0), (9, 0), (20, 0), (3 * RECORD, 3), (3 * RECORD + 40, 3), (5 * RECORD - 2, 4)]
)
def test_a_changed_byte_names_its_record(tmp_path: Path, place: int, record: int) -> None:
    path = write(tmp_path / "file.tfrecord", *[row()] * 5)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)
    assert f"corrupt or truncated at record {record} " in refusal(path)


def test_bytes_after_the_last_record_are_found(tmp_path: Path) -> None:
    path = write(tmp_path / "file.tfrecord", row(), row())
    path.write_bytes(path.read_bytes() + b"\0\0\0")
    assert "at record 2 " in refusal(path)


@pytest.mark.parametrize("content", ["0\t今天\t115\n" * 20, "x", "a.tfrecord\nb.tfrecord\n"])
def test_a_text_file_is_no_tfrecord_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.tfrecord"
    path.write_text(content, encoding="utf-8")
    assert "corrupt or truncated at record 0 " in refusal(path)


def test_a_record_that_is_no_example_is_named(tmp_path: Path) -> None:
    assert "record 0" in refusal(write(tmp_path / "first.tfrecord", b"\xff\xff no example", row()))
    assert "record 2 " in refusal(write(tmp_path / "later.tfrecord", row(), row(), b"\xff\xff no example", row()))


FOREIGN: dict[str, dict[str, Any]] = {
    "no label": {"label_id": None},
    "a float label": {"label_id": [1.0]},
    "two labels": {"label_id": [1, 2]},
    "another length": {"segment_ids": [0] * 5},
    "no mask": {"input_mask": None},
    "float ids": {"input_ids": [2.0, 5.0, 3.0, 0.0, 0.0, 0.0]},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_foreign_features_of_the_first_record_are_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    message = refusal(write(tmp_path / "file.tfrecord", row(**changes)))
    assert "record 0: expected int64 features input_ids, input_mask, segment_ids of one length and label_id of" in message


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_foreign_features_of_a_later_record_are_told(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecords, "RECORDS_PER_READ", 2)
    assert "record 3 " in refusal(write(tmp_path / "file.tfrecord", *[row()] * 3, row(**changes), row()))


def test_a_record_of_another_length_is_named(tmp_path: Path) -> None:
    assert "record 1 " in refusal(write(tmp_path / "file.tfrecord", row(), row(length=8)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 3}, "label_id is not in 0..2"),
        ({"label": -1}, "label_id is not in 0..2"),
        ({"ids": (2, 10, 3)}, "input_ids are not all in 0..9"),
        ({"ids": (2, -1, 3)}, "input_ids are not all in 0..9"),
        ({"ids": (2, 2**40, 3)}, "input_ids are not all in 0..9"),
        ({"segment_ids": [0, 2, 0, 0, 0, 0]}, "segment_ids are not all 0 or 1"),
        ({"input_mask": [1, 0, 1, 0, 0, 0]}, "input_mask is not ones followed by zeros"),
        ({"input_mask": [3, 0, 0, 0, 0, 0]}, "input_mask is not ones followed by zeros"),
        ({"input_mask": [0] * 6}, "input_mask has no real token"),
    ],
)
@pytest.mark.parametrize("place", [0, 4])
def test_values_out_of_range_are_named_by_record(
    tmp_path: Path, changes: dict[str, Any], message: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecords, "RECORDS_PER_READ", 3)
    path = write(tmp_path / "file.tfrecord", *[row()] * place, row(**changes), row())
    text = refusal(path)
    assert f"record {place} " in text and message in text


@pytest.fixture
def damage_after_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Makes a file whose given record is damaged, with reads of two records."""
    monkeypatch.setattr(tfrecords, "RECORDS_PER_READ", 2)

    def make(record: int) -> Path:
        path = write(tmp_path / "file.tfrecord", *[row()] * 7)
        content = bytearray(path.read_bytes())
        content[record * RECORD + 20] ^= 1
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize("record", [1, 2, 5, 6])
def test_the_record_is_counted_over_all_reads(damage_after_a_read: Callable[[int], Path], record: int) -> None:
    assert f"at record {record} (counted from 0)" in refusal(damage_after_a_read(record))


def test_missing_records_are_found_by_the_manifest(tmp_path: Path) -> None:
    output = tmp_path / "out.tfrecord"
    task = CONTEST_TASKS[0]
    convert_file(Conversion(PREPROCESS / "TNEWS_dev.csv", output, task), FeatureBuilder(Tokenizer(VOCABULARY), 128), "error")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(output))]
    write(output, *records[:-1])
    with pytest.raises(UserError, match="has 23 rows, its manifest says 24"):
        read_tfrecords(output, task.num_labels, len(VOCABULARY))


def masked_checksum(data: bytes) -> int:
    """Returns TFRecord's check sum, a CRC-32C that is turned and shifted."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("length", [10_000, 2**40, 2**62, 2**64 - 17])
def test_a_record_that_says_it_is_longer_than_the_file(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "file.tfrecord", *[row()] * 3)
    head = length.to_bytes(8, "little")
    path.write_bytes(path.read_bytes() + head + masked_checksum(head).to_bytes(4, "little") + bytes(100))
    for read in (refusal, lambda path: str(pytest.raises(UserError, padded_length_of, path).value)):
        assert "corrupt or truncated at record 3 (counted from 0): a record says that it is longer" in read(path)


def test_a_long_first_record_makes_no_room_for_others(tmp_path: Path) -> None:
    path = write(tmp_path / "file.tfrecord", row(length=2_000_000), *[row()] * 2000)
    assert "record 1 (counted from 0): it is too short for 2000000 values" in refusal(path)
