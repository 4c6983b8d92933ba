"""From settings to an architecture: defaults, per task, and every combination that cannot work."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import BASELINE, Architecture, architecture_from_json, choose_architecture
from easytransfer_mtl.tasks import CONTEST_TASKS

Settings = Callable[..., Any]
LAYERS = 4


def choose(settings: Any) -> Architecture:
    return choose_architecture(settings, list(CONTEST_TASKS), LAYERS)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"features": "pooled"}, {"heads": "dense"}, {"features": "ocnli=pooled", "heads": "TNEWS=Dense"},
        {"head_dropout": 0.1}, {"head_dropout": "tnews=0.1"}, {"features": "", "heads": ""},
    ],
)  # fmt: skip
def test_what_is_the_baselines_is_left_out(changes: dict[str, Any], tiny_settings: Settings) -> None:
    assert choose(tiny_settings(**changes)) == BASELINE


def test_one_for_all_or_each_its_own(tiny_settings: Settings) -> None:
    names = [task.name for task in CONTEST_TASKS]
    assert choose(tiny_settings(features="last4.Mean")).features == dict.fromkeys(names, "last4.mean")
    found = choose(tiny_settings(features="ocnli=pair+cls", heads="tnews=bilstm, OCNLI = mlp:7"))
    assert found.features == {"OCNLI": "pair+cls", "TNEWS": "sequence"}
    assert found.heads == {"OCNLI": "mlp:7:tanh", "TNEWS": "bilstm:128"}
    assert architecture_from_json(found.to_json(), "") == found


@pytest.mark.parametrize(
    "value, common, own",
    [
        (0.2, 0.2, {}), ("0", 0.0, {}), ("ocnli=0.3", 0.1, {"OCNLI": 0.3}), ("tnews=0,ocnli=0.1", 0.1, {"TNEWS": 0.0}),
    ],
)  # fmt: skip
def test_dropout_is_one_number_or_each_its_own(value: Any, common: float, own: dict, tiny_settings: Settings) -> None:
    found = choose(tiny_settings(head_dropout=value))
    assert found.head_dropout == common and found.task_dropout == own
    assert [found.dropout_of(task.name) for task in CONTEST_TASKS] == [own.get(t.name, common) for t in CONTEST_TASKS]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"features": "maen"}, "features tnews=maen: part 1 'maen' is unknown; did you mean mean?"),
        ({"features": "ocnl=mean"}, "'ocnl' is no task or given twice; the tasks are tnews, ocemotion, ocnli"),
        ({"features": "ocnli=mean,cls"}, "'cls' is no task"),
        ({"features": "ocnli="}, "OCNLI has no value; write ocnli=VALUE"),
        ({"features": "pair"}, "TNEWS has one"),
        ({"features": "layer5.mean"}, "the encoder has 4 layers; use a number up to 4"),
        ({"features": "tnews=mean", "heads": "tnews=lstm"}, "heads tnews=lstm:128 reads a state per token, but features"),
        ({"features": "sequence"}, "take one of the heads lstm"),
        ({"heads": "gru:none"}, "'none' must be a whole number"),
        ({"heads": "multi_dropout", "head_dropout": 0.0}, "needs a dropout above 0"),
        ({"heads": "ocnli=multi_dropout", "head_dropout": "ocnli=0"}, "set --head_dropout=ocnli=0.1"),
        ({"head_dropout": 1.0}, "head_dropout '1.0': 1.0 for TNEWS is too large; it must be at least 0 and less than 1."),
        ({"head_dropout": "-0.1"}, "-0.1 for TNEWS is too small; it must be at least 0 and less than 1."),
        ({"head_dropout": "ocnli=1.5"}, "1.5 for OCNLI is too large; it must be at least 0 and less than 1."),
        ({"sharing": "mmoe", "experts": 70_000}, "experts: 70000 is too large; it must be at least 1 and at most 1000"),
        ({"heads": "tnews=lstm:70000"}, "heads tnews=lstm:70000: 70000 is too large; at most 65536"),
        ({"head_dropout": "much"}, "head_dropout 'much' is neither a number nor NAME=NUMBER"),
    ],
)
def test_what_cannot_work_says_what_to_change(changes: dict[str, Any], message: str, tiny_settings: Settings) -> None:
    with pytest.raises(UserError) as error:
        choose(tiny_settings(**changes))
    assert message in str(error.value)


def test_the_structure_and_its_options_are_kept(tiny_settings: Settings) -> None:
    changes = {"sharing": "shared_private", "private_part": "encoder", "private_width": 6, "adversarial_weight": 0.5}
    found = choose(tiny_settings(**changes))
    assert found == Architecture(sharing=SharingSettings(**changes))
    assert architecture_from_json(json.loads(json.dumps(found.to_json())), "") == found


def test_part_dropout_is_for_tasks_that_read_several_parts(tiny_settings: Settings) -> None:
    def rates(text: str) -> dict[str, float]:
        return choose(tiny_settings(features="tnews=cls+ngrams,ocnli=pair+cls", part_dropout=text)).part_dropout

    assert rates("0") == {} and rates("TNEWS=0.5,ocnli=0") == {"TNEWS": 0.5}
    for text, message in (
        ("0.5", "part_dropout 0.5: OCEMOTION reads one part only, pooled; name tasks that read several"),
        ("ocnli=1", "part_dropout 'ocnli=1': 1.0 for OCNLI is too large; it must be at least 0 and less than 1"),
        ("some", "part_dropout 'some' is neither a number nor NAME=NUMBER"),
    ):
        with pytest.raises(UserError, match=message):
            rates(text)


def test_differences_are_told_without_dropout() -> None:
    one = Architecture(heads={"OCNLI": "mlp:4:tanh"}, head_dropout=0.3)
    assert one.changes_from(Architecture(heads={"OCNLI": "mlp:4:tanh"}, task_dropout={"TNEWS": 0.0}).to_json()) == []
    assert BASELINE.changes_from(one.to_json()) == ["heads: {'OCNLI': 'mlp:4:tanh'} -> {}"]
    written = Architecture(SharingSettings(sharing="ple", experts=3)).to_json()
    del written["own_options"], written["sharing_options"]["expert_size"]  # an earlier version's
    assert Architecture(SharingSettings(sharing="ple", experts=3)).changes_from(written) == []
    assert len(Architecture(SharingSettings(sharing="ple")).changes_from(written)) == 1


def test_architectures_are_read_back_and_damaged_ones_named() -> None:
    architecture = Architecture(SharingSettings(sharing="ple", expert_size=7), 0.2)
    assert architecture_from_json(json.loads(json.dumps(architecture.to_json())), "x") == architecture
    assert architecture_from_json({}, "x") == Architecture()
    for damaged in ([], {"sharing_options": {"slots": 3}}, {"sharing_options": 3}, {"depth": 2}):
        with pytest.raises(UserError, match="x is damaged"):
            architecture_from_json(damaged, "x")
