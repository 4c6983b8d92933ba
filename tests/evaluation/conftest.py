"""Runs of three folds as training leaves them, with random weights instead of trained ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.commands import split
from easytransfer_mtl.config.convert_settings import SplitSettings
from easytransfer_mtl.data.folds import read_folds
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.evaluation.export import export_model
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.fold_data import FoldChoice
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.tasks import CONTEST_TASKS

INPUTS = {task.name: TaskInput(16, "none") for task in CONTEST_TASKS}


@pytest.fixture(scope="session")
def make_run(tiny_encoder: Path, tiny_data: Path) -> Callable[..., Path]:
    """Writes a run's folder: one checkpoint, the same weights in best/, and the fold that it left out of ``folds_file``."""

    def make(folder: Path, seed: int, folds_file: Path | None = None) -> Path:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(0), random_init=True).encoder
        model, random = MultiTaskModel(encoder, CONTEST_TASKS), np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(random.normal(size=variable.shape, scale=0.5).astype(np.float32))
        run = RunFolder(folder)
        run.write_model(encoder.config, find_encoder(str(tiny_encoder)).vocabulary, CONTEST_TASKS, INPUTS)
        tf.train.Checkpoint(model=model).write(str(folder / "model.ckpt-3"))
        export_model(model, run, INPUTS, {})
        if folds_file:
            settings = {"folds_file": str(folds_file), "train_input_fp": str(tiny_data / "train.list_tfrecord")}
            choice = FoldChoice(str(folds_file), read_folds(folds_file), seed % 3)
            run.write_train_config(settings, {"fold": choice.identity}, {})
        return folder

    return make


@pytest.fixture(scope="session")
def runs(make_run: Callable[..., Path], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the runs fold_0, fold_1 and fold_2 of one split, and strange_1 of another. Do not write into them."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("split", 1), ("other", 2)):
        settings = SplitSettings(data_dir=str(tiny_data), output_dir=str(folder / name), folds=3, seed=seed)
        assert split.run(settings) == 0
    for fold in range(3):
        make_run(folder / f"fold_{fold}", fold, folder / "split/folds.json")
    make_run(folder / "strange_1", 4, folder / "other/folds.json")
    return folder
