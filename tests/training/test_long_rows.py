"""Rows that may be longer than the encoder can read: told at the start, or cut at what it can read; never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.commands.convert import run as convert
from easytransfer_mtl.commands.predict import run as predict
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.trainer import run_training

pytestmark = pytest.mark.usefixtures("untraced")
Settings = Callable[..., Any]
LIMIT, LONGER = 16, 40
LONG_TEXT = "天地人日月山水火木金" * 6


@pytest.fixture
def long_data(convert_rows: Callable[..., Path], tmp_path: Path) -> Path:
    """Short rows of all tasks, converted for more tokens than the tiny encoder reads; returns the list file."""
    for task in CONTEST_TASKS:
        convert_rows(tmp_path / "data" / f"{task.name}_train.tfrecord", task, 12, length=LONGER)
    path = tmp_path / "data" / "train.list_tfrecord"
    path.write_text("".join(f"{task.name}_train.tfrecord\n" for task in CONTEST_TASKS), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def folder_of_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def probabilities(model: Path | str, text: str) -> np.ndarray:
    return Predictor(str(model)).predict("TNEWS", ["0"], [(text,)]).probabilities


@pytest.mark.parametrize("changes", [{}, {"pad_to_full_length": True}])
def test_texts_are_cut_at_what_the_encoder_reads(
    changes: dict[str, Any], tiny_settings: Settings, long_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_training(tiny_settings(num_epochs=0.1, train_input_fp=str(long_data), **changes))
    assert f"rows of up to {LONGER} tokens; the encoder takes {LIMIT}" in caplog.text
    inputs = read_json(tmp_path / "run" / "tasks.json")["inputs"]
    assert {item["sequence_length"] for item in inputs.values()} == {LIMIT}
    model = tmp_path / "run" / "model.ckpt-1"
    np.testing.assert_array_equal(probabilities(model, LONG_TEXT), probabilities(model, LONG_TEXT[: LIMIT - 2]))


def test_a_run_of_an_earlier_version_goes_on_and_predicts(tiny_settings: Settings, long_data: Path, tmp_path: Path) -> None:
    run_training(tiny_settings(num_epochs=0.1, train_input_fp=str(long_data)))
    folder = tmp_path / "run"
    tasks, config = read_json(folder / "tasks.json"), read_json(folder / "train_config.json")
    for item in tasks["inputs"].values():
        item["sequence_length"] = LONGER
    for item in config["data"]["train"]:
        item["sequence_length"] = LONGER
        del item["rows_sha256"]
    write_json(folder / "tasks.json", tasks)
    write_json(folder / "train_config.json", config)
    text = tmp_path / "tnews.csv"
    text.write_text(f"0\t{LONG_TEXT}\n", encoding="utf-8")
    options = {"predict_input_fp": f"TNEWS={text}", "predict_output_fp": str(tmp_path / "out")}
    shutil.copytree(folder, tmp_path / "other")
    models = f"{folder}/model.ckpt-1,{tmp_path / 'other'}/model.ckpt-1"
    assert predict(PredictSettings(checkpoints=models, **options)) == 0
    run_training(tiny_settings(num_epochs=0.6, train_input_fp=str(long_data)))


def test_rows_that_are_longer_are_refused_at_the_start(
    tiny_settings: Settings, long_data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    write_json(encoder / "config.json", read_json(encoder / "config.json") | {"max_position_embeddings": 6})
    changes = {"train_input_fp": str(long_data), "pretrain_model_name_or_path": str(encoder)}
    with pytest.raises(UserError, match="the encoder's config allows 6 .*Convert with --sequence_length=6 or less"):
        run_training(tiny_settings(**changes))
    assert not (tmp_path / "run").exists()


def test_an_encoder_without_a_table_of_positions_has_no_limit(
    tiny_settings: Settings, long_data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    changes = {"model_type": "deberta-v2", "relative_attention": True, "position_biased_input": False}
    changes |= {"pos_att_type": ["c2p", "p2c"], "max_position_embeddings": 6}
    write_json(encoder / "config.json", read_json(encoder / "config.json") | changes)
    options = {"train_input_fp": str(long_data), "pretrain_model_name_or_path": str(encoder)}
    run_training(tiny_settings(num_epochs=0.1, **options))
    model = tmp_path / "run" / "model.ckpt-1"
    assert (probabilities(model, LONG_TEXT) != probabilities(model, LONG_TEXT[: LIMIT - 2])).any()


@pytest.mark.parametrize("config", ["config.json", "bert_config.json", None])
def test_convert_knows_the_limit_where_a_config_lies_beside_the_vocabulary(
    config: str | None, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    shutil.copyfile(tiny_encoder / "vocab.txt", encoder / "vocab.txt")
    if config:
        shutil.copyfile(tiny_encoder / "config.json", encoder / config)
    source, output = tmp_path / "tnews.csv", tmp_path / "TNEWS_train.tfrecord"
    source.write_text(f"0\t{LONG_TEXT}\t{CONTEST_TASKS[0].label_enumerate_values[0]}\n", encoding="utf-8")

    def settings(length: int) -> ConvertSettings:
        return ConvertSettings(
            preprocess_input_fp=str(source), preprocess_output_fp=str(output), tokenizer_name_or_path=str(encoder),
            task=CONTEST_TASKS[0].name, sequence_length=length,
        )  # fmt: skip

    assert json.loads((tiny_encoder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"] == LIMIT
    if config:
        with pytest.raises(UserError, match=f"allows {LIMIT} .* Give --sequence_length={LIMIT} or less"):
            convert(settings(LIMIT + 1))
        assert not output.exists()
    else:
        assert convert(settings(LIMIT + 1)) == 0
    assert convert(settings(LIMIT)) == 0
