"""Runs of three folds as training leaves them, with random weights instead of trained ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
from stored import store_model

from easytransfer_mtl.commands import split
from easytransfer_mtl.config.convert_settings import SplitSettings
from easytransfer_mtl.data.folds import read_folds
from easytransfer_mtl.runs.fold_data import FoldChoice


@pytest.fixture(scope="session")
def make_run(tiny_encoder: Path, tiny_data: Path) -> Callable[..., Path]:
    """Writes a run's folder: one checkpoint, the same weights in best/, and the fold that it left out of ``folds_file``."""

    def make(folder: Path, seed: int, folds_file: Path | None = None) -> Path:
        run = store_model(folder, tiny_encoder, seed)
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
