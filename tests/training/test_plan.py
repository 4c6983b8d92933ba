"""Settings to a run's plan: losses, token dropout and shares of the rate for each task, and what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import BertConfig

from easytransfer_mtl.config.train_settings import CLASS_WEIGHTS, SharingSettings, TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.task_loss import TaskLoss, label_weights
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.learning_rates import RateShares
from easytransfer_mtl.training.plan import RunPlan, plan_run
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.weighting import DWA

NAMES = [task.name for task in CONTEST_TASKS]
ROWS = [40, 80, 120]
Settings = Callable[..., TrainSettings]
Plan = Callable[..., RunPlan]


@pytest.fixture
def plan(tiny_settings: Settings) -> Plan:
    """Plans a run on the contest's tasks of 40, 80 and 120 rows."""
    return lambda **changes: plan_run(tiny_settings(**changes), list(CONTEST_TASKS), ROWS, BertConfig(num_hidden_layers=2))


def test_losses_are_for_all_tasks_or_for_those_that_are_named(plan: Plan) -> None:
    both = plan(label_smoothing="0.1", focal_gamma="ocnli=2").losses
    assert both == {
        task.name: TaskLoss(task.num_labels, label_smoothing=0.1, focal_gamma=2.0 if task.name == "OCNLI" else 0.0)
        for task in CONTEST_TASKS
    }
    assert [loss.label_smoothing for loss in plan(label_smoothing=0.2).losses.values()] == [0.2] * 3
    assert all(loss.is_plain for loss in plan(class_weights="log").losses.values())  # its weights need the labels


def test_class_weights_differ_by_task(convert_rows: Callable[..., Path], tiny_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for task, rows in zip(CONTEST_TASKS, (20, 12, 13), strict=True):  # some labels more often than others
        convert_rows(tmp_path / "data" / f"{task.name}_train.tfrecord", task, rows)
    path = tmp_path / "data/train.list_tfrecord"
    path.write_text("".join(f"{name}_train.tfrecord\n" for name in NAMES), encoding="utf-8")

    def weights(text: str) -> dict[str, tuple[float, ...] | None]:
        losses = prepare(tiny_settings(train_input_fp=str(path), class_weights=text)).losses
        assert [loss.num_labels for loss in losses.values()] == [task.num_labels for task in CONTEST_TASKS]
        return {name: loss.label_weights for name, loss in losses.items()}

    counts = {"TNEWS": [2] * 5 + [1] * 10, "OCEMOTION": [2] * 5 + [1] * 2, "OCNLI": [5, 4, 4]}
    wanted = {name: {kind: label_weights(np.array(counts[name]), kind) for kind in CLASS_WEIGHTS} for name in NAMES}
    assert all(len(set(of_task.values())) == 3 for of_task in wanted.values())
    found = weights("tnews=log,OCNLI=inverse")
    assert found == {"TNEWS": wanted["TNEWS"]["log"], "OCEMOTION": None, "OCNLI": wanted["OCNLI"]["inverse"]}
    assert weights("effective") == {name: wanted[name]["effective"] for name in NAMES}
    assert weights("none") == weights("tnews=none") == dict.fromkeys(NAMES)


def test_dtps_own_focal_factor_and_another_exclude_each_other(plan: Plan) -> None:
    def powers(**changes: Any) -> list[float]:
        return [loss.focal_gamma for loss in plan(loss_weighting="dtp", **changes).losses.values()]

    assert powers() == [1, 1, 1] and powers(dtp_focal_gamma=0.5) == [0.5] * 3
    with pytest.raises(UserError, match="has a focal factor of its own, the power 1. Set --dtp_focal_gamma=0 to use"):
        plan(loss_weighting="dtp", focal_gamma="2")
    assert powers(focal_gamma="tnews=2", dtp_focal_gamma=0.0) == [2, 0, 0]


def test_what_else_is_for_each_task(plan: Plan) -> None:
    assert plan(head_lr="tnews=3", layer_lr_decay=0.5).rates == RateShares((3, 1, 1), 0.5)
    assert plan().rates == RateShares((1, 1, 1), 1.0)
    with pytest.raises(UserError, match="token_dropout 'ocnli=2': 2.0 for OCNLI is too large"):
        plan(token_dropout="ocnli=2")


def test_steps_sizes_and_order(plan: Plan) -> None:
    alternating = plan(num_epochs=1.0, train_batch_size=4, num_accumulated_batches=2, warmup_ratio=0.5)
    assert alternating.sizes == [8, 8, 8] and alternating.steps == StepPlan(31, 30, 15)
    assert [alternating.order.place(step)[0] for step in range(4)] == [0, 1, 2, 0]
    joint = plan(step_mode="joint", joint_batch_sizes="ocnli=7", num_epochs=1.0)
    assert joint.sizes == [4, 4, 7] and joint.steps == StepPlan(17, 16, 1) and joint.order is None
    drawn = plan(task_sampling="explicit", task_rates="tnews=1,ocemotion=1,ocnli=8").order
    assert np.bincount([drawn.place(step)[0] for step in range(1000)]).argmax() == 2


def test_devices_that_share_a_step_each_have_a_batch(tiny_settings: Settings) -> None:
    settings = tiny_settings(num_accumulated_batches=3)
    found = plan_run(settings, list(CONTEST_TASKS), ROWS, BertConfig(num_hidden_layers=2), num_replicas=2)
    assert found.sizes == [24, 24, 24]


def test_the_weighting_knows_the_run(plan: Plan) -> None:
    weighting = plan(loss_weighting="dwa", num_epochs=2.0).weighting
    assert isinstance(weighting, DWA) and (weighting.num_tasks, weighting.steps_per_epoch) == (3, 60)
    architecture = plan(features="ocnli=pair", sharing="memory").architecture
    assert architecture == Architecture(SharingSettings(sharing="memory"), features={"OCNLI": "pair"})


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"class_weights": "often"},
            "class_weights 'often': 'often' for TNEWS is not allowed; allowed: none, inverse, log, effective",
        ),
        ({"class_weights": "tnews=rare"}, "'rare' for TNEWS is not allowed"),
        ({"class_weights": "cmnli=log"}, "'cmnli' is no task"),
        (
            {"label_smoothing": "tnews=1"},
            "label_smoothing 'tnews=1': 1.0 for TNEWS is too large; it must be at least 0 and less",
        ),
        ({"label_smoothing": "much"}, "label_smoothing 'much' is neither a number nor NAME=NUMBER"),
        ({"focal_gamma": "-1"}, "focal_gamma '-1': -1.0 for TNEWS is too small; it must be at least 0"),
        ({"focal_gamma": "nan"}, "focal_gamma 'nan': 'nan' is not a finite number"),
        (
            {"token_dropout": "ocnli=1"},
            "token_dropout 'ocnli=1': 1.0 for OCNLI is too large; it must be at least 0 and less",
        ),
        ({"token_dropout": "some"}, "token_dropout 'some' is neither a number nor NAME=NUMBER"),
        ({"head_lr": "ocnli=0"}, "head_lr 'ocnli=0': 0.0 for OCNLI is too small; it must be more than 0"),
        ({"adversarial_epsilon": 2.0}, "adversarial_epsilon has no effect with adversarial none"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; it must be from 0 (off) to below 1"),
        ({"num_freezed_layers": 3}, "num_freezed_layers is 3; the encoder has 2 layers"),
        ({"features": "layer3.mean"}, "the encoder has 2 layers"),
    ],
)
def test_what_does_not_fit_is_told(changes: dict[str, Any], message: str, plan: Plan) -> None:
    with pytest.raises(UserError) as error:
        plan(**changes)
    assert message in str(error.value)
