"""Architectures from files that nobody vouches for: types, ranges and layers, told with the file's name."""

from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.config.train_settings import SHARINGS, SharingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import LARGEST, Architecture, architecture_from_json, problem_of
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS


@pytest.mark.parametrize("sharing", SHARINGS)
def test_what_settings_give_is_right(sharing: str) -> None:
    assert problem_of(Architecture(SharingSettings(sharing=sharing))) is None
    settings = {"soft_layers": "0-1", "private_layers": 0, "expert_size": LARGEST, "adversarial_weight": 1}
    tasks = {"features": {"TNEWS": "cls+last2.mean"}, "heads": {"OCNLI": "mlp:7:relu"}, "task_dropout": {"OCNLI": 0}}
    found = Architecture(SharingSettings(sharing=sharing, **settings), 0, part_dropout={"TNEWS": 0.5}, **tasks)
    assert problem_of(found) is None and architecture_from_json(found.to_json(), "") == found


@pytest.mark.parametrize(
    "value",
    [
        {"sharing": "hrad"}, {"sharing": 3}, {"sharing": ["hard"]}, {"head_dropout": "0.1"}, {"head_dropout": 1.0},
        {"head_dropout": True}, {"head_dropout": float("nan")}, {"head_dropout": None}, {"features": "mean"},
        {"features": {"TNEWS": 3}}, {"features": {"TNEWS": "maen"}}, {"features": {"TNEWS": "layer" + "9" * 5000 + ".mean"}},
        {"heads": {"TNEWS": "lstm:x"}}, {"heads": {"TNEWS": "mlp:99999999"}}, {"heads": ["mlp"]},
        {"task_dropout": {"TNEWS": -0.1}}, {"task_dropout": {"TNEWS": "0.1"}}, {"task_dropout": [0.1]},
        {"part_dropout": {"TNEWS": 1.0}}, {"part_dropout": {"TNEWS": True}}, {"part_dropout": 0.1},
        *({"sharing_options": options} for options in (
            {"experts": 0}, {"experts": 2.5}, {"experts": True}, {"experts": None}, {"experts": LARGEST + 1},
            {"adapter_size": 10**12}, {"private_layers": -1}, {"soft_weight": float("nan")}, {"soft_weight": float("inf")},
            {"soft_weight": 10**400}, {"soft_weight": "much"}, {"soft_layers": [3]}, {"private_part": "bottom"},
            {"combine": []},
        )),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_is_not_right_is_named_with_its_file(value: dict[str, Any]) -> None:
    name = next(iter(next(iter(value.values())))) if "sharing_options" in value else next(iter(value))
    with pytest.raises(UserError, match=rf"^best/tasks.json is damaged .architecture: (--)?{name}\b"):
        architecture_from_json(value, "best/tasks.json")


def test_an_option_of_a_structure_has_its_declared_type_however_a_file_writes_it() -> None:
    options = architecture_from_json({"sharing_options": {"experts": 2.0, "soft_weight": "1", "soft_layers": 3}}, "").sharing
    assert (options.experts, options.soft_weight, options.soft_layers) == (2, 1.0, "3")
    assert [type(value) for value in (options.experts, options.soft_weight)] == [int, float]


@pytest.mark.parametrize(("feature", "message"), [("layer3.mean", "the encoder has 2 layers"), ("pair", "TNEWS has one")])
def test_a_model_is_not_built_on_what_is_not_there(feature: str, message: str, tiny_encoder: Path) -> None:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
    with pytest.raises(UserError, match=message):
        MultiTaskModel(encoder, CONTEST_TASKS, architecture=Architecture(features={"TNEWS": feature}))
