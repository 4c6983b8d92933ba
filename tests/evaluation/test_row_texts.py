"""Ids and texts of scored rows: the contest file's where it is given and fits, else decoded ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.row_texts import find_texts, texts_of_records
from easytransfer_mtl.runs.task_data import TaskData, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI


def read(path: Path, vocabulary: Path) -> list[TaskData]:
    return read_task_data(str(path), CONTEST_TASKS, load_vocabulary(vocabulary), vocabulary, 512)


@pytest.fixture
def pairs(convert_rows: Callable[..., Path], tiny_encoder: Path, tmp_path: Path) -> list[TaskData]:
    """Seven pairs, whose CSV file stands beside the TFRecord."""
    return read(convert_rows(tmp_path / "OCNLI_dev.tfrecord", OCNLI, 7), tiny_encoder / "vocab.txt")


def test_the_files_own_rows_and_decoded_ones(pairs: list[TaskData], tiny_encoder: Path, tmp_path: Path) -> None:
    lines = [line.split("\t") for line in (tmp_path / "OCNLI_dev.csv").read_text(encoding="utf-8").splitlines()]
    found = find_texts(pairs, str(tmp_path))["OCNLI"]
    assert found.from_file and found.file == "OCNLI_dev.csv"
    assert found.ids == [line[0] for line in lines] and found.texts == [tuple(line[1:3]) for line in lines]
    decoded = texts_of_records(pairs[0], load_vocabulary(tiny_encoder / "vocab.txt"))
    assert not decoded.from_file and decoded.file == "OCNLI_dev.tfrecord"
    assert decoded.ids == [*map(str, range(7))] and decoded.texts == found.texts
    assert decoded.source_sha256 == found.source_sha256


def test_other_files_than_the_converted_are_refused(pairs: list[TaskData], tmp_path: Path) -> None:
    path = tmp_path / "OCNLI_dev.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("天", "地"), encoding="utf-8")
    with pytest.raises(UserError, match="--data_dir .*OCNLI_dev.tfrecord was converted from OCNLI_dev.csv .*not there"):
        find_texts(pairs, str(tmp_path))


def test_files_that_easytransfer_wrote_are_found_by_name_and_checked(golden: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden / "preprocess", tmp_path / "data"))
    vocabulary = golden / "checkpoint/pai-bert-tiny-zh/vocab.txt"
    for task in CONTEST_TASKS:
        data = read(folder / f"{task.name}_dev.tfrecord", vocabulary)
        assert data[0].file.manifest is None
        found = find_texts(data, str(folder))[task.name]
        assert len(found.ids) == len(data[0].rows) and found.texts[0][0]
        path = folder / f"{task.name}_dev.csv"
        path.write_bytes(path.read_bytes().partition(b"\n")[2])
        with pytest.raises(UserError, match="has 23 good rows, .*dev.tfrecord 24, or their labels differ. Convert"):
            find_texts(data, str(folder))


def test_data_dir_is_not_for_one_checkpoint() -> None:
    with pytest.raises(UserError, match="--data_dir is for rows.csv, which is not written"):
        EvaluateSettings(eval_checkpoint_path="m", data_dir="d")
    assert EvaluateSettings(model_dir="m", data_dir="d", predict_input_fp="p").data_dir == "d"
