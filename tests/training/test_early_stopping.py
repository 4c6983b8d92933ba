"""Early stopping: what scripted scores come to, where training stops and goes on, and a real run."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.commands import evaluate, train
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.encoded_rows import from_arrays
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions, ScoredRows, score_rows
from easytransfer_mtl.evaluation.kept_scores import FILE
from easytransfer_mtl.evaluation.metrics import TaskScore, score_task
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.runs.step_plan import StepPlan
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training import early_stopping
from easytransfer_mtl.training.early_stopping import EarlyStopping, Standing, standing_of
from easytransfer_mtl.training.trainer import run_training

RIGHT = [3, 7, 5, 7, 6, 9]
"""Of ten rows a task, how many the scripted model has right after each evaluation."""
PLAN = StepPlan(train_steps=12, save_steps=2, warmup_steps=0)


@pytest.mark.parametrize(
    "means, standing",
    [
        ({}, Standing()),
        ({2: 0.1}, Standing(2, 2, 0.1, 0)),
        ({2: 0.1, 4: 0.3, 6: 0.2}, Standing(6, 4, 0.3, 1)),
        ({6: 0.3, 2: 0.1, 4: 0.3}, Standing(6, 4, 0.3, 1)),  # an equal one is no better
        ({2: 0.3, 4: 0.2, 6: 0.4, 8: 0.1, 10: 0.2}, Standing(10, 6, 0.4, 2)),
    ],
)
def test_only_a_higher_mean_counts(means: dict[int, float], standing: Standing) -> None:
    assert standing_of(means) == standing


def scripted(right: int) -> list[TaskScore]:
    truth = np.arange(10) % 2
    return [score_task(task, truth, np.where(np.arange(10) < right, truth, 1 - truth)) for task in CONTEST_TASKS]


def data_of(labels: int = 2) -> list[Any]:
    """Dev rows as far as early stopping looks at them."""
    ones = np.ones((10, 2), np.int32)
    rows = from_arrays(ones, np.full(10, 2), ones, np.arange(10) % labels)
    return [SimpleNamespace(task=task, rows=rows) for task in CONTEST_TASKS]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has each step's evaluation find what ``RIGHT`` says for it; notes what was evaluated."""
    noted: list[str] = []

    def score(inference: Any, data: Any, options: Any, what: str) -> ScoredRows:
        noted.append(what)
        return ScoredRows(scripted(RIGHT[int(what.split()[1]) // 2 - 1]), None, {})

    monkeypatch.setattr(early_stopping, "score_rows", score)
    monkeypatch.setattr(early_stopping, "Inference", lambda *_: None)
    return noted


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., tuple[int, EarlyStopping]]:
    """Goes through the steps after one as ``fit`` does; returns the last, and the callback."""

    def steps(start: int = 0, patience: int = 2, plan: StepPlan = PLAN, data: Any = None) -> tuple[int, EarlyStopping]:
        stopping = EarlyStopping(tmp_path, data or data_of(), EvaluationOptions(), patience, plan, None, start)
        iterations = tf.Variable(start, dtype=tf.int64)
        model = SimpleNamespace(optimizer=SimpleNamespace(iterations=iterations), stop_training=False)
        stopping.set_model(model)
        while int(iterations) < plan.train_steps and not model.stop_training:
            iterations.assign_add(1)
            stopping.on_train_batch_end(0)
        return int(iterations), stopping

    return steps


def test_training_stops_when_patience_is_over(
    go: Callable[..., Any], seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        step, stopping = go()
    assert step == 8 and seen == [f"checkpoint {step}" for step in (2, 4, 6, 8)]
    text = "topped early at step 8 of 12: no mean score above that of step 4 (0."
    assert stopping.ending()[1:].startswith(text) and text in caplog.text


@pytest.mark.parametrize("start", [2, 3, 6, 7])
def test_run_that_goes_on_stops_where_it_would_have(start: int, go: Callable[..., Any], seen: list[str]) -> None:
    _, whole = go()
    del seen[:]
    step, stopping = go(start)
    assert step == 8 and stopping.ending() == whole.ending() and stopping.scores.keys() == whole.scores.keys()
    assert seen == [f"checkpoint {step}" for step in (2, 4, 6, 8) if step > start]


def test_more_patience_goes_on(go: Callable[..., Any], seen: list[str]) -> None:
    go()
    step, stopping = go(8, patience=4)
    assert step == 12 and stopping.ending() is None and seen[4:] == ["checkpoint 10", "checkpoint 12"]


def test_patience_that_ends_with_the_plan_is_no_early_stop(go: Callable[..., Any], seen: list[str]) -> None:
    step, stopping = go(plan=StepPlan(train_steps=8, save_steps=2, warmup_steps=0))
    assert step == 8 and stopping.ending() is None


def test_scores_of_other_dev_rows_do_not_count(go: Callable[..., Any], seen: list[str]) -> None:
    go()
    _, stopping = go(8, data=data_of(labels=3))
    assert list(stopping.kept.best_of_steps()) == [10, 12]


def test_damaged_scores_are_told(go: Callable[..., Any], seen: list[str], tmp_path: Path) -> None:
    go()
    path = tmp_path / FILE
    path.write_text(path.read_text(encoding="utf-8").replace('"step"', '"stop"'), encoding="utf-8")
    with pytest.raises(UserError, match="during_training.json is damaged"):
        go(8)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes what is evaluated, in training and after it."""
    noted: list[str] = []

    def score(inference: Any, data: Any, options: Any, what: str) -> Any:
        noted.append(what)
        return score_rows(inference, data, options, what)

    monkeypatch.setattr(early_stopping, "score_rows", score)
    monkeypatch.setattr("easytransfer_mtl.evaluation.evaluator.score_rows", score)
    return noted


def test_a_real_run_stops_is_not_evaluated_twice_and_stays_stopped(
    tiny_settings: Callable[..., TrainSettings],
    tiny_data: Path,
    counted: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = tiny_settings(
        predict_input_fp=str(tiny_data / "dev.list_tfrecord"), num_epochs=3, save_steps=2, early_stopping_patience=1,
        ema_decay=0.5, swa_checkpoints=2,
    )  # fmt: skip
    assert train.run(settings) == 0
    steps = list(checkpoint_steps(tmp_path / "run"))
    assert steps[-1] < 28 and f"stopped early at step {steps[-1]} of 28" in capsys.readouterr().out
    assert len(counted) == len(set(counted)) and {"checkpoint 0", "checkpoint 2", "checkpoint 2 ema"} <= set(counted)
    assert counted[-1] == "swa of 2 checkpoints"
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    monkeypatch.setattr(MultiTaskModel, "fit", lambda *_, **__: pytest.fail("it trained"))
    assert "stopped early" in run_training(settings).stopping.ending()
    tables = [(tmp_path / name / "evaluation" / "summary.csv") for name in ("run", "copy")]
    del counted[:]
    evaluate.run(EvaluateSettings(model_dir=str(tmp_path / "copy"), predict_input_fp=settings.predict_input_fp))
    assert len(counted) == 2 * len(steps) and tables[0].read_bytes() == tables[1].read_bytes()
    rows = [tmp_path / name / "evaluation/best/rows.csv" for name in ("run", "copy")]
    assert rows[0].read_bytes() == rows[1].read_bytes()  # remembered from training here, computed there
