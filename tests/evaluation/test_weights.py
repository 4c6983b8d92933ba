"""Averages out of checkpoints: moving ones as the run had them, the mean of several as numpy has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.weights import Weights, has_averages, weights_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.training.trainer import TrainedRun, run_training


def weights_of(model: MultiTaskModel) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_data: Path) -> TrainedRun:
    """A run of 7 steps with averages that saved every 2."""
    from easytransfer_mtl.config.train_settings import TrainSettings

    return run_training(
        TrainSettings(
            pretrain_model_name_or_path=str(tiny_encoder), random_init=True, num_epochs=0.7, seed=5, save_steps=2,
            train_input_fp=str(tiny_data / "train.list_tfrecord"), train_batch_size=4, ema_decay=0.9, learning_rate=0.05,
            model_dir=str(tmp_path_factory.mktemp("averaged") / "run"),
        )
    )  # fmt: skip


def test_averages_come_out_of_a_checkpoint_as_they_went_in(trained: TrainedRun) -> None:
    checkpoints = checkpoint_steps(trained.folder.path)
    last, model = max(checkpoints), build_model(trained.folder)
    assert has_averages(checkpoints[last])
    Weights((checkpoints[last],), is_ema=True).restore(model)
    for weight, average in zip(weights_of(model), trained.model._step.averages.averages, strict=True):
        np.testing.assert_array_equal(weight, average)
    raw = build_model(trained.folder)
    Weights((checkpoints[last],)).restore(raw)
    assert any(np.any(one != other) for one, other in zip(weights_of(raw), weights_of(model)))


def test_mean_of_the_last_checkpoints(trained: TrainedRun) -> None:
    checkpoints = checkpoint_steps(trained.folder.path)
    candidates = weights_in(checkpoints, 3)
    assert [str(candidate) for candidate in candidates] == [
        "0", "2", "2 ema", "4", "4 ema", "6", "6 ema", "7", "7 ema", "swa of 3 checkpoints",
    ]  # fmt: skip
    model, parts = build_model(trained.folder), []
    for step in (4, 6, 7):
        Weights((checkpoints[step],)).restore(model)
        parts.append(weights_of(model))
    candidates[-1].restore(model)
    for weight, *values in zip(weights_of(model), *parts, strict=True):
        np.testing.assert_allclose(weight, np.mean(values, axis=0, dtype=float), rtol=1e-5, atol=1e-7)


def test_the_start_is_no_part_of_a_mean_and_one_checkpoint_is_none(
    trained: TrainedRun, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = checkpoint_steps(trained.folder.path)
    mean = Weights(tuple(prefix for step, prefix in checkpoints.items() if step))
    assert weights_in(checkpoints, 9)[-1] == mean and not caplog.messages
    folder = trained.folder.path
    few = {step: checkpoints[step] for step in (0, 2)}
    assert weights_in(few, 9) == [
        Weights.of_step(folder, 0),
        Weights.of_step(folder, 2),
        Weights.of_step(folder, 2, is_ema=True),
    ]
    assert caplog.messages == ["swa_checkpoints has no effect: a mean needs 2 checkpoints or more, and there is 1."]


def test_checkpoint_without_averages(trained: TrainedRun, tiny_settings: Callable[..., Any]) -> None:
    plain = run_training(tiny_settings(num_epochs=0.1))
    prefix = checkpoint_steps(plain.folder.path)[1]
    names = [name for name, _ in tf.train.list_variables(str(prefix))]
    assert not has_averages(prefix) and not [name for name in names if "ema" in name]
    assert weights_in(checkpoint_steps(plain.folder.path), 0) == [
        Weights.of_step(plain.folder.path, step) for step in (0, 1)
    ]
    with pytest.raises(UserError, match="model.ckpt-1@ema: the checkpoint holds no moving averages"):
        Weights((prefix,), True).restore(build_model(RunFolder(plain.folder.path)))


def test_unreadable_checkpoint_has_no_averages(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-1.index").write_bytes(b"nonsense")
    assert not has_averages(tmp_path / "model.ckpt-1")


def test_averages_cannot_be_switched_on_or_off_on_the_way(trained: TrainedRun, tiny_settings: Callable[..., Any]) -> None:
    folder = str(trained.folder.path)
    with pytest.raises(UserError, match="is a run with the ema_decay 0.9; it cannot go on with 0.0"):
        run_training(tiny_settings(model_dir=folder, num_epochs=0.9))
