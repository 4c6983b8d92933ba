"""TFRecords of pairs that do not say where the second text starts, for models that must know it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from easytransfer_mtl.commands import evaluate
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.training.trainer import run_training

pytestmark = pytest.mark.usefixtures("untraced")
PAIR = {"features": "ocnli=pooled+pair", "num_epochs": 0.1}


@pytest.fixture
def old_data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny data with segment ids 0 in every row, as another program may have written them."""
    folder = Path(shutil.copytree(tiny_data, tmp_path / "old"))
    for path in folder.glob("OCNLI_*.tfrecord"):
        records = []
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            values = example.features.feature["segment_ids"].int64_list.value
            values[:] = [0] * len(values)
            records.append(example.SerializeToString())
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
    return folder


@pytest.mark.parametrize("which", ["train_input_fp", "predict_input_fp"])
def test_training_refuses_them(which: str, old_data: Path, tiny_settings: Callable[..., Any], tmp_path: Path) -> None:
    kind = {"train_input_fp": "train", "predict_input_fp": "dev"}[which]
    given = {which: str(old_data / f"{kind}.list_tfrecord")}
    with pytest.raises(
        UserError, match=f"OCNLI_{kind}.tfrecord: segment_ids are 0 in all .*which features ocnli=pooled.pair"
    ):
        run_training(tiny_settings(**PAIR, **given))
    assert not (tmp_path / "run").exists()
    run_training(tiny_settings(**{**PAIR, "features": "ocnli=cls"}, **given))


def test_evaluation_and_teachers_refuse_them(old_data: Path, tiny_settings: Callable[..., Any], tmp_path: Path) -> None:
    model = run_training(tiny_settings(**PAIR)).model
    checkpoint = str(tmp_path / f"run/model.ckpt-{int(model.optimizer.iterations)}")
    settings = EvaluateSettings(model_dir=str(tmp_path / "run"), predict_input_fp=str(old_data / "dev.list_tfrecord"))
    with pytest.raises(UserError, match=r"OCNLI_dev.tfrecord: segment_ids are 0 in all 7 rows"):
        evaluate.run(settings)
    several = replace(settings, model_dir=None, checkpoints=checkpoint, output_dir=str(tmp_path / "tables"))
    with pytest.raises(UserError, match=r"OCNLI_dev.tfrecord: segment_ids are 0 in all 7 rows"):
        evaluate.run(several)
    student = {"teacher": checkpoint, "model_dir": str(tmp_path / "student")}
    with pytest.raises(UserError, match=r"OCNLI_train.tfrecord: segment_ids are 0 in all 12 rows"):
        run_training(tiny_settings(train_input_fp=str(old_data / "train.list_tfrecord"), **student))
