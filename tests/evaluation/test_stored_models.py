"""A checkpoint's last weights and its moving averages, each by its own name."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.stored_models import find_models, stored_model_at
from easytransfer_mtl.evaluation.weights import Weights, split_kind, weights_at
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.training.averages import WeightAverages


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose checkpoint 5 has averages, all 0.25, and whose checkpoint 3 has none."""
    folder = make_run(tmp_path_factory.mktemp("prefixes") / "run", 1)
    model = build_model(RunFolder(folder))
    Weights((folder / "model.ckpt-3",)).restore(model)
    averages = WeightAverages(model.trainable_variables, 0.9)
    for average in averages.averages:
        average.assign(tf.fill(average.shape, 0.25))
    tf.train.Checkpoint(model=model, averages=tf.train.Checkpoint(values=averages.averages)).write(
        str(folder / "model.ckpt-5")
    )
    return folder


def values_at(path: str) -> list[np.ndarray]:
    return [variable.numpy() for variable in stored_model_at(path).load().trainable_variables]


def test_the_index_file_stands_for_its_prefix(run: Path) -> None:
    assert split_kind(f"{run}/model.ckpt-3.index") == (f"{run}/model.ckpt-3", "")
    for one, other in zip(values_at(f"{run}/model.ckpt-3.index"), values_at(f"{run}/model.ckpt-3"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_prefix_is_the_last_weights_unless_it_says_averages(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    prefix = f"{run}/model.ckpt-5"
    with caplog.at_level(logging.INFO):
        bare = values_at(prefix)
    assert f"its moving averages are {prefix}@ema" in caplog.text
    raw, trained, averaged = (values_at(path) for path in (f"{prefix}@raw", f"{run}/model.ckpt-3", f"{prefix}@ema"))
    for one, same, last, average in zip(bare, raw, trained, averaged, strict=True):
        np.testing.assert_array_equal(one, last)
        np.testing.assert_array_equal(same, last)
        np.testing.assert_array_equal(average, np.full_like(last, 0.25))


def test_both_kinds_of_one_checkpoint_are_two_models(run: Path) -> None:
    prefix = f"{run}/model.ckpt-5"
    assert [member.name for member in find_models(f"{prefix},{prefix}@ema")] == [prefix, f"{prefix}@ema"]
    with pytest.raises(UserError, match="more than once"):
        find_models(f"{prefix},{prefix}@raw")


def test_a_kind_behind_a_pattern_is_that_of_all_its_checkpoints(run: Path) -> None:
    names = [member.name for member in find_models(f"{run}/model.ckpt-*@raw")]
    assert names == [f"{run}/model.ckpt-{step}@raw" for step in (3, 5)]
    with pytest.raises(UserError, match="model.ckpt-3@ema: the checkpoint holds no moving averages"):
        find_models(f"{run}/model.ckpt-*@ema")


def test_folders_have_one_kind_and_missing_checkpoints_are_missing(run: Path) -> None:
    for folder in (run, run / "best"):
        with pytest.raises(UserError, match="@ema belongs behind a checkpoint prefix"):
            stored_model_at(f"{folder}@ema")
    with pytest.raises(UserError, match=r"there is no .*model.ckpt-4.index"):
        stored_model_at(f"{run}/model.ckpt-4@ema")
    model = build_model(RunFolder(run))
    with pytest.raises(UserError, match="model.ckpt-4 cannot be restored"):
        weights_at(f"{run}/model.ckpt-4@ema").restore(model)


def test_a_file_that_is_called_so_is_itself(tmp_path: Path) -> None:
    (tmp_path / "odd@ema").mkdir()
    (tmp_path / "model.ckpt-1@raw.index").touch()
    for name in ("odd@ema", "model.ckpt-1@raw", "me@home"):
        assert split_kind(str(tmp_path / name)) == (str(tmp_path / name), "")
