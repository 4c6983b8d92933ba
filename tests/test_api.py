"""The package's names: all commands and settings, imported on first use; settings read the file that ``config`` names."""

import dataclasses
import inspect
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import easytransfer_mtl
from easytransfer_mtl import EvaluateSettings, TrainSettings, UserError
from easytransfer_mtl.__main__ import COMMANDS

SETTINGS = sorted({command.settings for command in COMMANDS.values()}, key=lambda kind: kind.__name__)
GIVEN = {
    "pretrain_config": {"pretrain_model_name_or_path": "encoder", "model_dir": "m"},
    "preprocess_config": {"data_dir": "data", "output_dir": "out", "tokenizer_name_or_path": "encoder"},
    "model_config": {"pretrain_model_name_or_path": "encoder"},
    "train_config": {"train_input_fp": "a", "train_batch_size": 3, "model_dir": "m", "num_epochs": 2.5, "seed": 9},
    "predict_config": {"predict_checkpoint_path": "m/best", "predict_output_fp": "out", "predict_batch_size": 7},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    """An EasyTransfer JSON file."""
    path = tmp_path / "mt.json"
    path.write_text(json.dumps(GIVEN), encoding="utf-8")
    return str(path)


def test_every_command_and_its_settings_are_names_of_the_package() -> None:
    for name, command in COMMANDS.items():
        function = getattr(easytransfer_mtl, name)
        (settings, *_) = inspect.signature(function).parameters.values()
        assert settings.annotation is command.settings
        assert getattr(easytransfer_mtl, command.settings.__name__) is command.settings
    for name in ("train", "evaluate", "predict", "submit"):
        assert "model_class" in inspect.signature(getattr(easytransfer_mtl, name)).parameters
    assert set(easytransfer_mtl.__all__) <= set(dir(easytransfer_mtl))
    with pytest.raises(AttributeError, match="nothing"):
        _ = easytransfer_mtl.nothing


def test_importing_the_package_and_its_settings_costs_nothing() -> None:
    code = (
        "import sys, easytransfer_mtl\n"
        "assert not {'numpy', 'absl', 'tensorflow'} & set(sys.modules)\n"
        f"for name in {[kind.__name__ for kind in SETTINGS]!r} + ['UserError', 'Task', 'load_tasks']:\n"
        "    getattr(easytransfer_mtl, name)\n"
        "easytransfer_mtl.split, easytransfer_mtl.plot, easytransfer_mtl.check_submission\n"
        "assert not {'tensorflow', 'transformers', 'tf_keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_read_their_file_and_what_is_given_wins(config: str) -> None:
    read = TrainSettings(config=config)
    assert (read.train_batch_size, read.num_epochs, read.seed, read.learning_rate) == (3, 2.5, 9, 0.001)
    default = TrainSettings(config=config, num_epochs=1.0)  # the default's value, but given
    assert (default.num_epochs, default.seed) == (1.0, 9)
    assert TrainSettings.from_json(config, num_epochs=1.0) == default
    assert TrainSettings.from_json(Path(config)) == read
    assert EvaluateSettings.from_json(config, predict_input_fp="dev").predict_batch_size == 7


def test_it_is_the_command_lines_precedence(config: str) -> None:
    from easytransfer_mtl.config.base import load_settings

    flags = load_settings(TrainSettings, [f"--config={config}", "--num_epochs=1", "--seed=4"], "train")
    assert flags == TrainSettings(config=config, num_epochs=1.0, seed=4)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda kind: kind.__name__)
def test_all_settings_read_a_file(settings: type, config: str) -> None:
    without_keys = {
        "PlotSettings": {"model_dir": "m"},
        "ReportSettings": {"runs": "m"},
        "ExportSettings": {"checkpoint_path": "m", "export_dir_base": "e"},
        "CheckSubmissionSettings": {"submission": "s"},
        "DockerSettings": {"output_dir": "o"},
        "PruneVocabularySettings": {"input_fps": "i", "output_dir": "o"},
    }
    needed: dict[str, str] = without_keys.get(settings.__name__, {})
    made = settings.from_json(config, **needed)
    assert made.config == config
    from_file = [f.name for f in dataclasses.fields(settings) if getattr(made, f.name) != f.default and f.name != "config"]
    assert set(from_file) - set(needed) or settings.__name__ in ("PlotSettings", "ReportSettings", "ExportSettings")


def test_a_file_that_does_not_fit_is_told(tmp_path: Path, config: str) -> None:
    with pytest.raises(UserError, match="none.json does not exist"):
        TrainSettings(config=str(tmp_path / "none.json"))
    Path(config).write_text('{"train_config": {"num_epoch": 1}}', encoding="utf-8")
    with pytest.raises(UserError, match="num_epoch is not known; did you mean train_config.num_epochs"):
        TrainSettings.from_json(config)
    with pytest.raises(TypeError, match="lerning_rate"):
        TrainSettings(lerning_rate=1)


def test_values_from_python_mean_what_flags_mean() -> None:
    words = {"train_input_fp": "t", "predict_input_fp": "p", "pretrain_model_name_or_path": "e", "model_dir": "m"}
    settings = TrainSettings(**words, random_init="no", num_epochs="2", train_batch_size=8.0, seed="7")
    plain = TrainSettings(**words, random_init=False, num_epochs=2.0, train_batch_size=8, seed=7)
    assert settings == plain and repr(settings) == repr(plain)


def test_paths_from_python_are_texts(tmp_path: Path) -> None:
    assert EvaluateSettings(model_dir=tmp_path, predict_input_fp=tmp_path / "dev").model_dir == str(tmp_path)
    with pytest.raises(UserError, match="predict_batch_size"):
        EvaluateSettings(model_dir=tmp_path, predict_batch_size=tmp_path)


def test_settings_are_copied_without_their_file(config: str) -> None:
    settings = TrainSettings(config=config)
    Path(config).unlink()
    changed = dataclasses.replace(settings, seed=1)
    assert (changed.seed, changed.num_epochs) == (1, 2.5)
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert set(inspect.signature(TrainSettings).parameters) == {field.name for field in dataclasses.fields(TrainSettings)}
