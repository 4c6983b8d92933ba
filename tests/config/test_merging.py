"""EasyTransfer's JSON files and flags, with its keys and defaults, become one configuration."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.config.base import COMMANDS_SETTINGS, NO_EFFECT, load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.config.export_settings import ExportSettings
from easytransfer_mtl.config.options import Option, options_of
from easytransfer_mtl.config.predict_settings import CheckSubmissionSettings, EvaluateSettings, PredictSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError

CONFIGS = Path(__file__).parents[2] / "run_scripts" / "config"
REQUIRED = ...
"""EasyTransfer has no default: the key must be there."""

OPTIMIZER, DISTRIBUTION = "train_config.optimizer_config", "train_config.distribution_config"
EASYTRANSFER: dict[type, dict[str, Any]] = {
    ConvertSettings: {
        "preprocess_config.input_schema": REQUIRED,
        "preprocess_config.sequence_length": REQUIRED,
        "preprocess_config.first_sequence": REQUIRED,
        "preprocess_config.second_sequence": None,
        "preprocess_config.label_name": None,
        "preprocess_config.label_enumerate_values": None,
        "preprocess_config.output_schema": REQUIRED,
        "preprocess_config.preprocess_input_fp": REQUIRED,
        "preprocess_config.preprocess_output_fp": REQUIRED,
        "preprocess_config.preprocess_batch_size": REQUIRED,
        "preprocess_config.tokenizer_name_or_path": REQUIRED,
    },
    TrainSettings: {
        "model_config.pretrain_model_name_or_path": REQUIRED,
        "train_config.train_input_fp": REQUIRED,
        "train_config.train_batch_size": REQUIRED,
        "train_config.num_epochs": 1.0,
        "train_config.model_dir": REQUIRED,
        "train_config.save_steps": None,
        "train_config.keep_checkpoint_max": 10,
        "train_config.log_step_count_steps": 100,
        f"{OPTIMIZER}.optimizer": "adam",
        f"{OPTIMIZER}.learning_rate": 0.001,
        f"{OPTIMIZER}.weight_decay_ratio": 0.0,
        f"{OPTIMIZER}.warmup_ratio": 0.1,
        f"{OPTIMIZER}.lr_decay": "polynomial",
        f"{OPTIMIZER}.gradient_clip": True,
        f"{OPTIMIZER}.clip_norm_value": 1.0,
        f"{OPTIMIZER}.num_freezed_layers": 0,
        f"{DISTRIBUTION}.distribution_strategy": "None",
        f"{DISTRIBUTION}.num_accumulated_batches": 1,
        "predict_config.predict_input_fp": REQUIRED,
        "predict_config.predict_batch_size": REQUIRED,
        "worker_hosts": "localhost:5001",
        "task_index": 0,
        "job_name": "worker",
        "num_gpus": 1,
        "num_workers": 1,
    },
    EvaluateSettings: {
        "evaluate_config.eval_input_fp": REQUIRED,
        "evaluate_config.eval_batch_size": REQUIRED,
        "evaluate_config.num_eval_steps": None,
        "evaluate_config.eval_checkpoint_path": REQUIRED,
        "train_config.model_dir": REQUIRED,
    },
    PredictSettings: {
        "predict_config.predict_checkpoint_path": REQUIRED,
        "predict_config.predict_output_fp": None,
        "predict_config.predict_input_fp": REQUIRED,
        "predict_config.predict_batch_size": REQUIRED,
    },
    ExportSettings: {"export_config.checkpoint_path": REQUIRED, "export_config.export_dir_base": REQUIRED},
}
WITHOUT_EFFECT: dict[str, Any] = {
    "preprocess_config.append_feature_columns": None,
    "preprocess_config.max_predictions_per_seq": None,
    "preprocess_config.multi_label": False,
    "preprocess_config.max_num_labels": 5,
    "train_config.throttle_secs": 100,
    f"{DISTRIBUTION}.num_model_replica": 1,
    f"{DISTRIBUTION}.num_communicators": 1,
    f"{DISTRIBUTION}.num_splits": 1,
    f"{DISTRIBUTION}.enable_xla": False,
    f"{DISTRIBUTION}.pull_evaluation_in_multiworkers_training": False,
    "export_config.receiver_tensors_schema": None,
    "export_config.input_tensors_schema": None,
}
ENOUGH: dict[type, list[str]] = {
    ConvertSettings: ["--tokenizer_name_or_path=t"],
    TrainSettings: ["--pretrain_model_name_or_path=p", "--train_input_fp=i", "--train_batch_size=4", "--model_dir=m"],
    EvaluateSettings: ["--model_dir=m"],
    PredictSettings: ["--predict_checkpoint_path=c", "--predict_output_fp=o"],
    CheckSubmissionSettings: ["--submission=s"],
    ExportSettings: ["--checkpoint_path=c", "--export_dir_base=o"],
}
TABLE = [(settings, place, default) for settings, keys in EASYTRANSFER.items() for place, default in keys.items()]


def nested(places: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for place, value in places.items():
        *sections, key = place.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
        target[key] = value
    return content


def load(folder: Path, settings: type, content: Any, *flags: str, enough: bool = True) -> Any:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_settings(settings, [f"--config={path}", *(ENOUGH[settings] if enough else ()), *flags], "command")


def option_at(settings: type, place: str) -> Option:
    return next(item for item in options_of(settings).values() if item.place == place)


def another_value(item: Option) -> Any:
    if item.kind is bool:
        return not item.default
    if item.choices:
        return item.choices[-1]
    return {str: "from json", int: 7, float: 0.25}[item.kind]


@pytest.mark.parametrize(("settings", "place", "default"), TABLE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_key_of_easytransfer_with_its_default(settings: type, place: str, default: Any) -> None:
    item = option_at(settings, place)
    if default is not REQUIRED:
        assert item.default == default and type(item.default) is type(default)


@pytest.mark.parametrize(
    ("settings", "place"), [entry[:2] for entry in TABLE], ids=lambda value: getattr(value, "__name__", value)
)
def test_the_json_value_is_taken_and_the_flag_wins(tmp_path: Path, settings: type, place: str) -> None:
    item = option_at(settings, place)
    value = another_value(item)
    given = [flag for flag in ENOUGH[settings] if not flag.startswith(f"--{item.name}=")]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(nested({place: value})), encoding="utf-8")
    assert getattr(load_settings(settings, [f"--config={path}", *given], "command"), item.name) == value
    flag = {bool: "true", str: (item.choices or ("from flag",))[0], int: "9", float: "0.75"}[item.kind]
    made = load_settings(settings, [f"--{item.name}={flag}", *given, f"--config={path}"], "command")
    assert getattr(made, item.name) == item.kind(flag)


def test_the_tables_cover_what_has_no_effect() -> None:
    assert set(NO_EFFECT) == set(WITHOUT_EFFECT)


@pytest.mark.parametrize(("place", "default"), WITHOUT_EFFECT.items())
def test_keys_without_effect_warn_only_off_their_default(
    tmp_path: Path, place: str, default: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for value in (default, None):
            load(tmp_path, TrainSettings, nested({place: value}))
        assert not caplog.records
        load(tmp_path, TrainSettings, nested({place: "something"}))
    assert f"{place} has no effect here" in caplog.text


def test_sections_of_other_commands_are_passed_over_but_checked(tmp_path: Path) -> None:
    content = nested({"train_config.train_batch_size": 32, "preprocess_config.sequence_length": 64})
    assert load(tmp_path, ConvertSettings, content).sequence_length == 64
    assert load(tmp_path, CheckSubmissionSettings, content).submission == "s"
    with pytest.raises(UserError, match="train_config.train_batchsize is not known"):
        load(tmp_path, ConvertSettings, nested({"train_config.train_batchsize": 32}))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("train_config.num_epoch", 1, "train_config.num_epoch is not known; did you mean train_config.num_epochs?"),
        ("train_confg.num_epochs", 1, "train_confg is not known; did you mean train_config?"),
        ("train_config.learning_rate", 1, f"did you mean {OPTIMIZER}.learning_rate?"),
        ("learning_rate", 1, f"did you mean {OPTIMIZER}.learning_rate?"),
        ("train_config.optimiser_config.optimizer", "adam", f"did you mean {OPTIMIZER}?"),
        ("train_config.input_schema", "x", "did you mean preprocess_config.input_schema?"),
        ("model_config.hidden_size", 1, "model_config.hidden_size is not known"),
        ("zzz", 1, "zzz is not known."),
        ("train_config", 5, "train_config must be a JSON object, found 5"),
        ("train_config.optimizer_config", None, "optimizer_config must be a JSON object, found None"),
    ],
)
def test_unknown_keys_and_sections_suggest_the_nearest(tmp_path: Path, place: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, TrainSettings, nested({place: value}))
    assert message in str(caught.value) and "config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("train_config.num_epochs", "0.01", 0.01),
        ("train_config.keep_checkpoint_max", "3", 3),
        ("train_config.keep_checkpoint_max", 3.0, 3),
        (f"{OPTIMIZER}.learning_rate", "1e-5", 1e-5),
        (f"{OPTIMIZER}.gradient_clip", "false", False),
        (f"{OPTIMIZER}.gradient_clip", "True", True),
        (f"{OPTIMIZER}.gradient_clip", 0, False),
        ("train_config.save_steps", None, None),
        ("train_config.save_steps", 0, 0),
        (f"{DISTRIBUTION}.distribution_strategy", None, None),
        (f"{DISTRIBUTION}.distribution_strategy", "None", "None"),
        (f"{OPTIMIZER}.lr_decay", None, None),
        (f"{OPTIMIZER}.lr_decay", "none", "none"),
    ],
)
def test_values_as_easytransfer_casts_them_but_false_is_false(tmp_path: Path, place: str, value: Any, expected: Any) -> None:
    found = getattr(load(tmp_path, TrainSettings, nested({place: value})), option_at(TrainSettings, place).name)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train_config.num_epochs", None),
        ("train_config.num_epochs", "many"),
        ("train_config.num_epochs", True),
        ("train_config.keep_checkpoint_max", 2.5),
        (f"{OPTIMIZER}.gradient_clip", "perhaps"),
        (f"{OPTIMIZER}.optimizer", "sgd"),
        (f"{DISTRIBUTION}.distribution_strategy", "WhaleStrategy"),
        ("train_config.train_input_fp", ["a", "b"]),
    ],
)
def test_values_that_do_not_fit_name_file_and_key(tmp_path: Path, place: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"config.json: {place}: "):
        load(tmp_path, TrainSettings, nested({place: value}))


def test_a_required_value_that_is_null_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="command: Missing: .*--model_dir"):
        load(tmp_path, TrainSettings, nested({"train_config.model_dir": None}), enough=False)
    assert load(tmp_path, TrainSettings, nested({"train_config.model_dir": None}), "--model_dir=m").model_dir == "m"


def test_an_empty_flag_takes_back_what_the_file_says(tmp_path: Path) -> None:
    sharing = {"name": "shared_private", "private_layers": 2}
    content = nested({"model_config.sharing": sharing, "train_config.model_dir": "m"})
    assert load(tmp_path, TrainSettings, content).private_layers == 2
    assert load(tmp_path, TrainSettings, content, "--private_layers=").private_layers is None
    with pytest.raises(UserError, match="command: Missing: --model_dir"):
        load(tmp_path, TrainSettings, content, "--model_dir=")


def test_flags_have_easytransfers_names_for_workers(tmp_path: Path) -> None:
    made = load(tmp_path, TrainSettings, {"num_gpus": 0, "num_workers": 1}, "--workerCPU=4", "--worker_hosts=a:1")
    assert (made.workerGPU, made.workerCount, made.workerCPU, made.worker_hosts) == (0, 1, 4, "a:1")


@pytest.mark.parametrize(
    ("content", "message"), [("[1]", "the file must be a JSON object"), ('{"a": 1,}', "is not valid JSON: line 1")]
)
def test_a_file_that_is_no_json_object(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(tmp_path, TrainSettings, content)


def test_a_missing_config_is_named() -> None:
    with pytest.raises(UserError, match="config none.json does not exist"):
        load_settings(TrainSettings, ["--config=none.json"], "train")


def test_no_config_is_needed() -> None:
    made = load_settings(ConvertSettings, ["--tokenizer_name_or_path=t", "--header"], "convert")
    assert (made.config, made.tokenizer_name_or_path, made.header, made.sequence_length) == (None, "t", True, 128)


@pytest.mark.parametrize("kind", ["train", "dev"])
@pytest.mark.parametrize("task", ["TNEWS", "OCEMOTION", "OCNLI"])
def test_the_originals_preprocess_files_load_unchanged(task: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = CONFIGS / f"{task}_preprocess_{kind}.json"
    content = json.loads(path.read_text(encoding="utf-8"))["preprocess_config"]
    made = load_settings(ConvertSettings, [f"--config={path}", "--mode=preprocess"], "convert")
    assert {key: asdict(made)[key] for key in content} == content
    assert made.preprocess_input_fp == f"tianchi_datasets/{task}/{kind}.csv"
    assert made.tokenizer_name_or_path == "google-bert-base-zh"
    assert not caplog.records


def test_the_originals_training_file_loads_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    made = load_settings(TrainSettings, [f"--config={CONFIGS / 'multitask_finetune.json'}"], "train")
    assert (made.pretrain_model_name_or_path, made.train_input_fp, made.model_dir) == (
        "pai-bert-tiny-zh",
        "train.list_tfrecord",
        "model_dir",
    )
    assert (made.train_batch_size, made.num_epochs, made.learning_rate) == (2, 0.01, 1e-5)
    assert (made.predict_input_fp, made.predict_batch_size) == ("dev.list_tfrecord", 4)
    assert not caplog.records


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.name)
def test_every_config_of_the_scripts_has_known_keys(path: Path) -> None:
    for settings, flags in ENOUGH.items():
        load_settings(settings, [f"--config={path}", *flags], "command")


def test_the_tables_settings_are_commands_settings() -> None:
    assert set(EASYTRANSFER) <= set(COMMANDS_SETTINGS) and set(ENOUGH) <= set(COMMANDS_SETTINGS)
