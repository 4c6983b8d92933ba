"""A run's TFRecord files: whose they are, and every way in which they do not fit the model."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.runs.folder import TaskInput
from easytransfer_mtl.runs.task_data import TaskData, check_dev_data, check_segments, check_training_data, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, OCNLI, TNEWS, Task

Read = Callable[..., list[TaskData]]


@pytest.fixture
def read(tiny_encoder: Path) -> Read:
    """Reads with the tiny encoder's vocabulary, or another."""

    def read(
        path: Path, tasks: tuple[Task, ...] = CONTEST_TASKS, vocabulary: Path | None = None, positions: int = 16
    ) -> list[TaskData]:
        source = vocabulary or tiny_encoder / "vocab.txt"
        return read_task_data(str(path), tasks, load_vocabulary(source), source, positions)

    return read


def list_of(folder: Path, *files: Path) -> Path:
    path = folder / "train.list_tfrecord"
    path.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
    return path


def foreign(source: Path, target: Path) -> Path:
    """Copies a TFRecord file without its manifest, as EasyTransfer's own files are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


def test_files_in_the_lists_order_with_rows_and_how_they_were_made(read: Read, tiny_data: Path) -> None:
    data = read(tiny_data / "dev.list_tfrecord")
    assert [(item.task.name, len(item.rows), item.padded_length) for item in data] == [
        ("TNEWS", 5, 16),
        ("OCEMOTION", 6, 16),
        ("OCNLI", 7, 16),
    ]
    assert data[2].task_input == TaskInput(16, "none")
    np.testing.assert_array_equal(data[2].rows.label_ids, [0, 1, 2, 0, 1, 2, 0])
    summary = data[0].summary()
    assert summary["file"] == "TNEWS_dev.tfrecord" and summary["rows"] == 5 and len(str(summary["source_sha256"])) == 64
    check_training_data(data, "dev")


def test_single_file_and_any_order(read: Read, tiny_data: Path, tmp_path: Path) -> None:
    (item,) = read(tiny_data / "OCNLI_dev.tfrecord")
    assert item.task.name == "OCNLI"
    files = [tiny_data / f"{task.name}_dev.tfrecord" for task in (OCNLI, TNEWS)]
    assert [item.task.name for item in read(list_of(tmp_path, *files))] == ["OCNLI", "TNEWS"]


def test_another_vocabulary(read: Read, tiny_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    other = tmp_path / "vocab.txt"
    other.write_text((tiny_encoder / "vocab.txt").read_text(encoding="utf-8") + "新\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read(tiny_data / "dev.list_tfrecord", vocabulary=other)
    assert "TNEWS_dev.tfrecord was made with another vocabulary (25 tokens" in str(error.value) and str(other) in str(
        error.value
    )


def test_another_label_map(read: Read, tiny_data: Path) -> None:
    turned = replace(OCNLI, label_enumerate_values=OCNLI.label_enumerate_values[::-1])
    with pytest.raises(UserError, match="made with the labels 0,1,2 of OCNLI, the model has 2,1,0"):
        read(tiny_data / "OCNLI_dev.tfrecord", tasks=(TNEWS, OCEMOTION, turned))


def test_unlabelled(read: Read, convert_rows: Callable[..., Path], tmp_path: Path) -> None:
    file = convert_rows(tmp_path / "test.tfrecord", TNEWS, 4, labelled=False)
    with pytest.raises(UserError, match="test.tfrecord has no labels"):
        read(file)


def test_rows_longer_than_the_encoder_allows(read: Read, tiny_data: Path) -> None:
    longest = int(read(tiny_data / "OCNLI_train.tfrecord")[0].rows.lengths.max())
    assert read(tiny_data / "OCNLI_train.tfrecord", positions=longest)
    with pytest.raises(UserError, match=f"rows of {longest} tokens; the encoder's config allows {longest - 1}"):
        read(tiny_data / "OCNLI_train.tfrecord", positions=longest - 1)


def test_no_rows(read: Read, convert_rows: Callable[..., Path], tiny_data: Path, tmp_path: Path) -> None:
    empty = convert_rows(tmp_path / "empty.tfrecord", TNEWS, 0)
    data = read(list_of(tmp_path, tiny_data / "OCNLI_train.tfrecord", empty))
    assert [len(item.rows) for item in data] == [12, 0]
    with pytest.raises(UserError, match="empty.tfrecord has no rows"):
        check_training_data(data, "train")


def test_mixed_normalization(read: Read, convert_rows: Callable[..., Path], tiny_data: Path, tmp_path: Path) -> None:
    folded = convert_rows(tmp_path / "folded.tfrecord", TNEWS, 4, normalization="nfkc")
    data = read(list_of(tmp_path, tiny_data / "OCNLI_train.tfrecord", folded))
    assert data[1].task_input == TaskInput(16, "nfkc")
    with pytest.raises(UserError, match="differ in text_normalization .*'OCNLI': 'none', 'TNEWS': 'nfkc'"):
        check_training_data(data, "train")


def test_dev_file_of_another_normalization_or_without_rows(
    read: Read, convert_rows: Callable[..., Path], tiny_data: Path, tmp_path: Path
) -> None:
    folded = read(convert_rows(tmp_path / "folded.tfrecord", TNEWS, 4, normalization="nfkc"))
    with pytest.raises(UserError, match="folded.tfrecord was converted with text_normalization nfkc.*TNEWS with none"):
        check_dev_data(folded, {"TNEWS": TaskInput(16, "none")})
    check_dev_data(folded, {"TNEWS": TaskInput(16, "nfkc")})
    check_dev_data(
        read(foreign(tmp_path / "folded.tfrecord", tmp_path / "tnews.tfrecord")), {"TNEWS": TaskInput(16, "none")}
    )
    empty = [replace(folded[0], rows=folded[0].rows.first(0))]
    with pytest.raises(UserError, match="folded.tfrecord has no rows to evaluate on"):
        check_dev_data(empty, {"TNEWS": TaskInput(16, "nfkc")})


def test_two_files_of_one_task(read: Read, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two files have the same task"):
        read(list_of(tmp_path, tiny_data / "TNEWS_train.tfrecord", tiny_data / "TNEWS_dev.tfrecord"))


def test_foreign_files_belong_to_the_task_in_their_name(
    read: Read, tiny_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [
        foreign(tiny_data / f"{name}_dev.tfrecord", tmp_path / "f" / f"my_{name.lower()}.tfrecord")
        for name in ("OCNLI", "TNEWS")
    ]
    with caplog.at_level(logging.WARNING):
        data = read(list_of(tmp_path, *files))
    assert [item.task.name for item in data] == ["OCNLI", "TNEWS"]
    assert "has no manifest: taken as OCNLI" in caplog.text
    assert data[0].task_input == TaskInput(16, "none") and data[0].summary()["source_sha256"] is None


def test_foreign_files_without_a_name_belong_to_the_task_of_their_place(read: Read, tiny_data: Path, tmp_path: Path) -> None:
    names = ("TNEWS", "OCEMOTION", "OCNLI")
    files = [foreign(tiny_data / f"{name}_dev.tfrecord", tmp_path / "f" / f"{i}.tfrecord") for i, name in enumerate(names)]
    assert [item.task.name for item in read(list_of(tmp_path, *files))] == list(names)
    with pytest.raises(UserError, match="no task for place 4"):
        read(list_of(tmp_path, *files, foreign(files[0], tmp_path / "f" / "3.tfrecord")))


def test_foreign_files_label_out_of_the_tasks_range(read: Read, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="label"):
        read(foreign(tiny_data / "TNEWS_dev.tfrecord", tmp_path / "f" / "ocnli.tfrecord"))


def test_manifest_of_a_file_that_is_cut_off(read: Read, tiny_data: Path, tmp_path: Path) -> None:
    file = foreign(tiny_data / "TNEWS_dev.tfrecord", tmp_path / "f" / "TNEWS.tfrecord")
    shutil.copyfile(manifest_path(tiny_data / "TNEWS_dev.tfrecord"), manifest_path(file))
    assert len(read(file)[0].rows) == 5
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match="corrupt or truncated at record 4"):
        read(file)


def without_segments(data: list[TaskData], rows: slice = slice(None)) -> list[TaskData]:
    """Returns the data with segment ids 0, of all rows or some."""
    found = []
    for item in data:
        segment_ids, places = item.rows.segment_ids.copy(), np.arange(len(item.rows))[rows]
        for start, end in zip(item.rows.offsets[places], item.rows.offsets[places + 1], strict=True):
            segment_ids[start:end] = 0
        found.append(replace(item, rows=replace(item.rows, segment_ids=segment_ids)))
    return found


@pytest.mark.parametrize("feature", ["pair", "pooled+pair", "mix.pair", "cls+ngrams:64:4"])
def test_pairs_whose_second_text_starts_nowhere(feature: str, read: Read, tiny_data: Path) -> None:
    data = read(tiny_data / "train.list_tfrecord")
    architecture = Architecture(features={"OCNLI": feature})
    check_segments(data, architecture)
    check_segments(without_segments(data, slice(1, None)), architecture)  # an empty second text has none
    with pytest.raises(UserError, match=r"OCNLI_train.tfrecord: segment_ids are 0 in all 12 rows of the pair task OCNLI"):
        check_segments(without_segments(data), architecture)


def test_segments_that_nothing_reads_are_no_matter(read: Read, tiny_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = without_segments(read(tiny_data / "train.list_tfrecord"))
    check_segments(data, Architecture(features={"TNEWS": "cls+ngrams", "OCNLI": "mean"}))
    assert not caplog.records
    check_segments(data, Architecture(), reads_types=True)
    (told,) = caplog.messages
    assert "pair task OCNLI: the encoder sees one text, while predict and submit give the second one token type 1" in told
