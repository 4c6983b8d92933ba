"""A TFRecord file's manifest is written and read back, and a damaged one is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.data.manifest import Manifest, manifest_path, read_manifest, write_manifest
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import OCNLI

MANIFEST = Manifest(OCNLI, 60, True, 128, "nfkc", "ab" * 32, 570, "OCNLI_train.csv", "cd" * 32)


@pytest.fixture
def tfrecord(tmp_path: Path) -> Path:
    write_manifest(tmp_path / "file.tfrecord", MANIFEST)
    return tmp_path / "file.tfrecord"


def change(tfrecord: Path, **changes: Any) -> None:
    path = manifest_path(tfrecord)
    value = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({key: item for key, item in value.items() if item != "DROP"}), encoding="utf-8")


def test_it_lies_beside_the_file_and_comes_back(tfrecord: Path) -> None:
    assert manifest_path(tfrecord).name == "file.tfrecord.manifest.json"
    assert read_manifest(tfrecord) == MANIFEST


def test_it_is_readable_json(tfrecord: Path) -> None:
    value = json.loads(manifest_path(tfrecord).read_text(encoding="utf-8"))
    assert value["format_version"] == 1
    assert value["task"]["label_enumerate_values"] == ["0", "1", "2"]
    assert (value["rows"], value["labelled"], value["text_normalization"]) == (60, True, "nfkc")


def test_a_file_without_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "other.tfrecord") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "unknown format_version; this program writes 1"),
        ({"rows": "60"}, "rows is '60'"),
        ({"rows": True}, "rows is True"),
        ({"rows": -1}, "rows is -1"),
        ({"sequence_length": 128.0}, "sequence_length is 128.0"),
        ({"labelled": 1}, "labelled is 1"),
        ({"vocabulary_sha256": None}, "vocabulary_sha256 is None"),
        ({"text_normalization": "nfc"}, "text_normalization 'nfc' is not known"),
        ({"task": "OCNLI"}, "task: expected an object"),
        ({"task": {"name": "OCNLI"}}, "missing keys"),
        ({"rows": "DROP"}, "expected the keys format_version, task, rows"),
        ({"more": 1}, "expected the keys"),
        ({"rows": 10**30}, "rows is 1000000000000000000000000000000"),
        ({"sequence_length": float("nan")}, "numbers must be finite"),
        ({"vocabulary_size": float("inf")}, "numbers must be finite"),
        ({"source": "a\x1b[31m.csv"}, r"source is 'a\x1b[31m.csv'"),
        ({"source": "x" * 5000}, "source is 'xxx"),
        ({"source": ["a.csv"]}, "source is ['a.csv']"),
        ({"format_version": [1]}, "unknown format_version"),
        ({"text_normalization": {}}, "text_normalization is {}"),
        ({"task": {**OCNLI.to_json(), "name": "../x"}}, "the name must be letters"),
        ({"task": {**OCNLI.to_json(), "label_enumerate_values": ["0", 1]}}, "must be a list of strings"),
    ],
)
def test_damaged_manifests_are_refused_by_name(tfrecord: Path, changes: dict[str, Any], message: str) -> None:
    change(tfrecord, **changes)
    with pytest.raises(UserError) as caught:
        read_manifest(tfrecord)
    assert message in str(caught.value) and (str(manifest_path(tfrecord)) in str(caught.value) or "../x" in str(changes))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500 + len(str(tfrecord))


@pytest.mark.parametrize("content", ["", "[1]", '{"rows": 6'])
def test_a_manifest_that_is_no_object_is_refused(tfrecord: Path, content: str) -> None:
    manifest_path(tfrecord).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="manifest .*file.tfrecord.manifest.json"):
        read_manifest(tfrecord)
