"""Every command's settings: names, places, defaults and help fit together."""

import dataclasses

import pytest

from benchmarks.settings import BenchmarkSettings
from easytransfer_mtl.config.base import COMMANDS_SETTINGS, NO_EFFECT
from easytransfer_mtl.config.convert_settings import ConvertSettings, SplitSettings
from easytransfer_mtl.config.options import Option, options_of
from easytransfer_mtl.config.predict_settings import PredictSettings, SubmitSettings
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.sections import BOARDS, NORMALIZATIONS
from easytransfer_mtl.config.study_settings import CompareSettings, PlotSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.contest_files import NAMES
from easytransfer_mtl.data.tokenization import TEXT_NORMALIZATIONS
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import DEFAULT_SEED

COMMANDS = (*COMMANDS_SETTINGS, BenchmarkSettings, PlotSettings, CompareSettings)


def every_option() -> list[tuple[str, Option]]:
    return [(settings.__name__, item) for settings in COMMANDS for item in options_of(settings).values()]


@pytest.mark.parametrize(("settings", "item"), every_option(), ids=lambda value: getattr(value, "name", value))
def test_every_default_fits_its_own_setting(settings: str, item: Option) -> None:
    if item.default is None:
        assert item.nullable or item.required
    else:
        assert item.convert(item.default, settings) == item.default
        assert type(item.default) is item.kind


@pytest.mark.parametrize(("settings", "item"), every_option(), ids=lambda value: getattr(value, "name", value))
def test_every_setting_has_a_help_and_required_ones_no_default(settings: str, item: Option) -> None:
    assert len(item.help) > 3 and not item.help.endswith(".")
    assert not item.required or item.default is None


@pytest.mark.parametrize("settings", COMMANDS, ids=lambda settings: settings.__name__)
def test_no_two_settings_of_a_command_share_a_json_place(settings: type) -> None:
    places = [item.place for item in options_of(settings).values() if item.place]
    assert len(places) == len(set(places))


def test_a_place_means_the_same_kind_in_every_command() -> None:
    kinds: dict[str, set[type]] = {}
    for _, item in every_option():
        if item.place:
            kinds.setdefault(item.place, set()).add(item.kind)
    assert {place for place, found in kinds.items() if len(found) > 1} == set()


def test_a_place_is_never_a_section_too_and_never_without_effect() -> None:
    places = {item.place for _, item in every_option() if item.place} | set(NO_EFFECT)
    sections = {place.rpartition(".")[0] for place in places}
    assert not places & sections
    assert not {item.place for _, item in every_option()} & set(NO_EFFECT)


def test_choices_are_those_of_the_rooms_that_use_them() -> None:
    assert NORMALIZATIONS == TEXT_NORMALIZATIONS
    assert set(BOARDS) - {"auto"} == set(NAMES) - {"train", "dev"}
    assert options_of(TrainSettings)["seed"].default == DEFAULT_SEED


def test_settings_cannot_be_changed() -> None:
    made = ConvertSettings(tokenizer_name_or_path="x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.task = "TNEWS"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (ConvertSettings, ["--tokenizer_name_or_path (JSON: preprocess_config.tokenizer_name_or_path)"]),
        (
            TrainSettings,
            ["--pretrain_model_name_or_path (JSON: model_config.", "--train_input_fp", "--train_batch_size", "--model_dir"],
        ),
        (SplitSettings, ["--data_dir (JSON: preprocess_config.data_dir)", "--output_dir"]),
        (PredictSettings, ["--predict_output_fp"]),
        (SubmitSettings, ["--predict_output_fp"]),
        (
            PretrainSettings,
            [
                "--data_dir (JSON: preprocess_config.data_dir)",
                "--pretrain_model_name_or_path",
                "--model_dir (JSON: pretrain_",
            ],
        ),
    ],
)
def test_all_missing_settings_are_named_at_once(settings: type, missing: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        settings()
    assert str(caught.value).startswith("Missing: ")
    assert all(name in str(caught.value) for name in missing)
    assert str(caught.value).count("--") == len(missing)
