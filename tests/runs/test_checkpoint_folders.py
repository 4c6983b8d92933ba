"""A run touches the checkpoints of its own folder only, wherever the folder lies and whatever its list says."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from easytransfer_mtl.commands.evaluate import run as evaluate
from easytransfer_mtl.commands.predict import run as predict
from easytransfer_mtl.config.predict_settings import EvaluateSettings, PredictSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.runs.checkpoints import INTERRUPTED, checkpoint_steps
from easytransfer_mtl.training.trainer import run_training

pytestmark = pytest.mark.usefixtures("untraced")
Settings = Callable[..., Any]
ODD_NAMES = {"a*b 天/[ab]": "axb 天/a", "a?b/a[1]": "axb/a1", "a\\b/a]b/a{1,2}": "ab/ab/a1"}
"""Folders whose names look like patterns, and folders that the patterns would fit."""


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def train_on(settings: Settings, folder: Path) -> None:
    """Trains with few checkpoints kept, so that old ones are deleted."""
    run_training(settings(model_dir=str(folder), num_epochs=0.6, save_steps=1, keep_checkpoint_max=2))


@pytest.fixture
def shorter(trained: Callable[..., Path], tiny_settings: Settings) -> Callable[[Path], Path]:
    """Writes a shorter run like those into a folder."""
    return lambda folder: trained(tiny_settings(model_dir=str(folder), num_epochs=0.2, save_steps=1, keep_checkpoint_max=2))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("model.ckpt-*.index"))


def test_the_list_of_checkpoints_names_no_folder(tiny_settings: Settings, tmp_path: Path) -> None:
    train_on(tiny_settings, tmp_path / "run")
    text = (tmp_path / "run" / "checkpoint").read_text(encoding="utf-8")
    assert text.count("model.ckpt-") == 3 and "/" not in text
    newest = max(checkpoint_steps(tmp_path / "run"))
    assert tf.train.latest_checkpoint(str(tmp_path / "run")) == str(tmp_path / "run" / f"model.ckpt-{newest}")


@pytest.mark.parametrize("state", ["as it is", "absolute", "spoiled", "gone", "upwards"])
def test_training_on_in_a_copy_leaves_the_original_alone(
    state: str, shorter: Callable[[Path], Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    original, copy = tmp_path / "run", tmp_path / "copy"
    shorter(original)
    shutil.copytree(original, copy)
    path = copy / "checkpoint"
    names = [prefix.name for prefix in checkpoint_steps(original).values()]
    folder = {"absolute": original, "upwards": Path("../run")}.get(state)
    if folder is not None:
        lines = [f'model_checkpoint_path: "{folder / names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{folder / name}"' for name in names]
        lines += [f"all_model_checkpoint_timestamps: {2e9 + place}" for place, _ in enumerate(names)]
        path.write_text("\n".join([*lines, "last_preserved_timestamp: 1.0", ""]), encoding="utf-8")
    elif state == "spoiled":
        path.write_text("nonsense {", encoding="utf-8")
    elif state == "gone":
        path.unlink()
    before = contents(original)
    train_on(tiny_settings, copy)
    assert contents(original) == before
    assert files(copy) == [f"model.ckpt-{step}.index" for step in checkpoint_steps(copy)] and len(files(copy)) == 2
    assert str(original) not in path.read_text(encoding="utf-8")


def test_a_list_that_names_other_checkpoints_deletes_none_of_them(
    shorter: Callable[[Path], Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    shorter(tmp_path / "other")
    before = contents(tmp_path / "other")
    (tmp_path / "run").mkdir()
    shutil.copyfile(tmp_path / "other" / "checkpoint", tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "checkpoint").write_text(
        f'model_checkpoint_path: "{tmp_path}/other/model.ckpt-2"\n'
        f'all_model_checkpoint_paths: "{tmp_path}/other/model.ckpt-1"\n'
        f'all_model_checkpoint_paths: "{tmp_path}/other/model.ckpt-2"\n',
        encoding="utf-8",
    )
    train_on(tiny_settings, tmp_path / "run")
    assert contents(tmp_path / "other") == before
    assert min(checkpoint_steps(tmp_path / "run")) > 2


def test_a_checkpoint_of_a_stop_is_read_from_its_own_folder(
    shorter: Callable[[Path], Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    shorter(tmp_path / "run")
    stopped = tmp_path / "run" / INTERRUPTED
    stopped.mkdir()
    (stopped / "checkpoint").write_text(
        f'model_checkpoint_path: "{tmp_path}/run/model.ckpt-2"\nall_model_checkpoint_paths: "{tmp_path}/run/model.ckpt-2"\n',
        encoding="utf-8",
    )
    assert checkpoint_steps(stopped) == {}
    train_on(tiny_settings, tmp_path / "run")
    assert not stopped.exists()


@pytest.mark.skipif(os.name != "posix", reason="such names are possible on POSIX only")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_look_like_patterns_are_names(
    name: str, shorter: Callable[[Path], Path], tiny_settings: Settings, tiny_data: Path, tmp_path: Path
) -> None:
    others = (ODD_NAMES[name], "a1", "axb", "a", "ab")
    neighbours = [tmp_path / other / "run" for other in others]
    shorter(neighbours[0])
    for folder in neighbours[1:]:
        shutil.copytree(neighbours[0], folder)
    before = [contents(folder) for folder in neighbours]
    data = shutil.copytree(tiny_data, tmp_path / name / "data")
    folder = tmp_path / name / "run"

    def settings(**changes: Any) -> Any:
        files = {"train_input_fp": str(data / "train.list_tfrecord")}
        return tiny_settings(**files, **changes)

    shorter(folder)
    train_on(settings, folder)
    steps = list(checkpoint_steps(folder))
    assert len(steps) == 2 and steps[-1] > 2 and files(folder) == [f"model.ckpt-{step}.index" for step in steps]
    dev = str(data / "dev.list_tfrecord")
    assert evaluate(EvaluateSettings(model_dir=str(folder), predict_input_fp=dev)) == 0
    text = tmp_path / name / "tnews.csv"
    text.write_text("0\t天地人\n", encoding="utf-8")
    if "," not in name:  # which separates the models, and the files of tasks
        for number, path in enumerate((folder, folder / f"model.ckpt-{steps[-1]}")):
            for flag in ("predict_checkpoint_path", "checkpoints"):
                output = tmp_path / name / f"predicted_{number}_{flag}"
                options = {flag: str(path), "predict_input_fp": f"TNEWS={text}", "predict_output_fp": str(output)}
                assert predict(PredictSettings(**options)) == 0 and len(list(output.iterdir())) == 1
    assert [contents(folder) for folder in neighbours] == before


def test_a_pattern_in_a_folder_with_a_bracket_is_told_how_to_write_it(
    shorter: Callable[[Path], Path], tmp_path: Path
) -> None:
    shorter(tmp_path / "a[1]" / "run")
    with pytest.raises(UserError, match=r"is written \[\[\]"):
        find_models(f"{tmp_path}/a[1]/run/model.ckpt-*")
    assert len(find_models(f"{tmp_path}/a[[]1]/run/model.ckpt-*")) == len(checkpoint_steps(tmp_path / "a[1]" / "run"))
