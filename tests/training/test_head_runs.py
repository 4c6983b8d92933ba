"""Whole runs with other features and heads: stopped and gone on, repeated, exported, refused."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.commands.train import run as train
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.export import load_exported
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]
Run = tuple[Path, dict[str, np.ndarray]]
MIXED = {
    "features": "tnews=mix.sequence,ocnli=pair+cls",
    "heads": "tnews=bilstm:4,ocemotion=multi_dropout:3",
    "head_dropout": "ocnli=0.3",
    "part_dropout": "ocnli=0.3",
    "head_lr": "tnews=5",
    "layer_lr_decay": 0.8,
    "learning_rate": 0.01,
    "num_epochs": 0.6,
    "save_steps": 3,
}


def weights_of(model: MultiTaskModel) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.trainable_variables}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_data: Path) -> Run:
    """A run that was trained, evaluated and exported, and its last weights."""

    folder = tmp_path_factory.mktemp("whole") / "run"
    settings = TrainSettings(
        pretrain_model_name_or_path=str(tiny_encoder), random_init=True, model_dir=str(folder), seed=5, train_batch_size=4,
        train_input_fp=str(tiny_data / "train.list_tfrecord"), predict_input_fp=str(tiny_data / "dev.list_tfrecord"),
        **MIXED,
    )  # fmt: skip
    assert train(settings) == 0
    trained = run_training(settings)  # finished: only restores
    return folder, weights_of(trained.model)


def test_stopped_and_gone_on_is_never_stopped(
    whole: Run, tiny_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = shutil.copytree(whole[0], tmp_path / "run")
    for path in folder.glob("model.ckpt-6.*"):
        path.unlink()
    again = weights_of(run_training(tiny_settings(**MIXED)).model)
    assert "Going on from step 3 of 6." in caplog.messages and again.keys() == whole[1].keys()
    told = next(message for message in caplog.messages if message.startswith("parameters: encoder 1,"))
    assert "TNEWS feature 4, TNEWS head" in told and "OCNLI feature" not in told
    for name, value in whole[1].items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_exported_model_stands_alone(whole: Run) -> None:
    folder, _ = whole
    model, inputs = load_exported(str(folder / "best"))
    assert model.architecture.heads == {"TNEWS": "bilstm:4", "OCEMOTION": "multi_dropout:3"}
    assert set(inputs) == {"TNEWS", "OCEMOTION", "OCNLI"}
    again = build_model(RunFolder(folder))
    Weights((checkpoint_steps(folder)[read_json(folder / "best" / "export.json", "")["step"]],)).restore(again)
    ids = tf.constant([[2, 7, 8, 3, 9, 3], [2, 7, 3, 0, 0, 0]])
    segments = tf.constant([[0, 0, 0, 0, 1, 1], [0] * 6])
    features = {"input_ids": ids, "input_mask": tf.cast(ids > 0, tf.int32), "segment_ids": segments}
    found = model.predict_step(features)
    for name, value in again.predict_step(features).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "changes", [{"features": "tnews=mix.sequence"}, {"heads": "tnews=bilstm:5,ocemotion=multi_dropout:3"}, {"heads": None}]
)
def test_another_architecture_cannot_go_on(changes: dict[str, Any], whole: Run, tiny_settings: Settings) -> None:
    features = "tnews=mean" if changes.get("heads", "") is None else MIXED["features"]
    changes = {**MIXED, "part_dropout": "0", "features": features, **changes}
    with pytest.raises(UserError, match="is a run of another architecture .* Use another --model_dir"):
        run_training(tiny_settings(model_dir=str(whole[0]), **changes))


def test_another_dropout_or_rate_may_go_on(whole: Run, tiny_settings: Settings) -> None:
    changes = {**MIXED, "head_dropout": 0.2, "head_lr": "1"}
    found = weights_of(run_training(tiny_settings(model_dir=str(whole[0]), **changes)).model)
    for name, value in whole[1].items():
        np.testing.assert_array_equal(found[name], value)
