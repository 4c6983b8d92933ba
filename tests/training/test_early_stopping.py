"""Early stopping: what scripted scores come to, and runs that stop, stay stopped, and go on as if never interrupted."""

import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.commands import train
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.evaluation.evaluator import score_rows
from easytransfer_mtl.evaluation.kept_scores import FILE
from easytransfer_mtl.evaluation.metrics import TaskScore, score_task
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training import early_stopping
from easytransfer_mtl.training.checkpoints import checkpoint_steps
from easytransfer_mtl.training.early_stopping import Standing, standing_of
from easytransfer_mtl.training.trainer import run_training

RIGHT = [3, 7, 5, 7, 6, 9]
"""Of ten rows a task, how many the scripted model has right after each evaluation."""
Settings = Callable[..., Any]


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


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has each step's evaluation find what ``RIGHT`` says for it; notes what was evaluated."""
    seen: list[str] = []

    def score(inference: Any, data: Any, options: Any, what: str) -> tuple[list[TaskScore], None]:
        seen.append(what)
        return scripted(RIGHT[int(what.split()[1]) // 2 - 1]), None

    monkeypatch.setattr(early_stopping, "score_rows", score)
    return seen


@pytest.fixture
def settings(tiny_settings: Settings, tiny_data: Path) -> Settings:
    """Settings of a run of 12 steps that is evaluated after every second one, with a patience of 2."""

    def build(**changes: Any) -> Any:
        values = {"num_epochs": 1.3, "save_steps": 2, "early_stopping_patience": 2}
        return tiny_settings(predict_input_fp=str(tiny_data / "dev.list_tfrecord"), **{**values, **changes})

    return build


def weights_of(model: MultiTaskModel) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


def test_run_stops_after_its_patience_and_stays_stopped(
    settings: Settings, script: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO):
        run = run_training(settings())
    text = "stopped early at step 8 of 12: no mean score above 0.7"
    assert run.stopping.ending().startswith(text) and text.capitalize() in caplog.text
    assert list(checkpoint_steps(run.folder.path)) == [0, 2, 4, 6, 8]
    assert script == [f"checkpoint {step}" for step in (2, 4, 6, 8)]
    monkeypatch.setattr(MultiTaskModel, "fit", lambda *_, **__: pytest.fail("it trained"))
    again = run_training(settings())
    assert again.stopping.ending() == run.stopping.ending() and len(script) == 4
    np.testing.assert_equal(weights_of(again.model), weights_of(run.model))


def test_stopped_run_goes_on_with_more_patience(settings: Settings, script: list[str]) -> None:
    run_training(settings())
    run = run_training(settings(early_stopping_patience=3))
    assert run.stopping.ending() is None and list(checkpoint_steps(run.folder.path))[-2:] == [10, 12]
    assert script[4:] == ["checkpoint 10", "checkpoint 12"]


def test_patience_that_ends_with_the_plan_is_no_early_stop(settings: Settings, script: list[str]) -> None:
    run = run_training(settings(num_epochs=0.8))
    assert run.stopping.ending() is None and list(checkpoint_steps(run.folder.path))[-1] == 8


@pytest.mark.parametrize("lost", [(8,), (8, 6)], ids=["last", "last two"])
def test_run_that_goes_on_stops_where_it_would_have(lost: tuple[int, ...], settings: Settings, script: list[str]) -> None:
    run = run_training(settings())
    for step in lost:
        for path in run.folder.path.glob(f"model.ckpt-{step}.*"):
            path.unlink()
    again = run_training(settings())
    assert again.stopping.ending() == run.stopping.ending()
    assert script[4:] == [f"checkpoint {step}" for step in (2, 4, 6, 8) if step in lost]
    np.testing.assert_equal(weights_of(again.model), weights_of(run.model))


def test_a_signal_between_two_evaluations_leaves_no_trace(
    settings: Settings, script: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_training(settings(model_dir=str(tmp_path / "whole")))
    kept_write, sent = early_stopping.KeptScores.add, []

    def add(self: Any, *arguments: Any) -> None:
        kept_write(self, *arguments)
        if len(sent) < 2:
            sent.append(signal.raise_signal(signal.SIGTERM))

    monkeypatch.setattr(early_stopping.KeptScores, "add", add)
    for _ in range(2):
        with pytest.raises(Stopped):
            run_training(settings())
    run = run_training(settings())
    assert run.stopping.ending() == whole.stopping.ending()
    assert read_json(run.folder.path / FILE) == read_json(whole.folder.path / FILE)
    np.testing.assert_equal(weights_of(run.model), weights_of(whole.model))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes what is evaluated, in training and after it."""
    seen: list[str] = []

    def score(inference: Any, data: Any, options: Any, what: str) -> Any:
        seen.append(what)
        return score_rows(inference, data, options, what)

    monkeypatch.setattr(early_stopping, "score_rows", score)
    monkeypatch.setattr("easytransfer_mtl.evaluation.evaluator.score_rows", score)
    return seen


def test_nothing_is_evaluated_twice_and_the_tables_are_the_same(
    settings: Settings, counted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"ema_decay": 0.5, "swa_checkpoints": 2, "num_epochs": 0.6, "early_stopping_patience": 1, "learning_rate": 0.05}
    assert train.run(settings(**more)) == 0
    assert len(counted) == len(set(counted)) and {"checkpoint 0", "checkpoint 2 ema"} <= set(counted)
    assert counted[-1].startswith("swa of 2 checkpoints") and "best checkpoint: " in capsys.readouterr().out
    summary = tmp_path / "run" / "evaluation" / "summary.csv"
    reused, _ = summary.read_bytes(), shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "copy" / FILE).unlink()
    assert train.run(settings(**{**more, "model_dir": str(tmp_path / "copy"), "num_epochs": 0.6})) == 0
    assert (tmp_path / "copy" / "evaluation" / "summary.csv").read_bytes() == reused


def test_damaged_scores_are_told(settings: Settings, script: list[str], tmp_path: Path) -> None:
    run_training(settings())
    path = tmp_path / "run" / FILE
    path.write_text(path.read_text(encoding="utf-8").replace('"step"', '"stop"'), encoding="utf-8")
    with pytest.raises(UserError, match="during_training.json is damaged"):
        run_training(settings())


def test_scores_of_other_dev_rows_do_not_count(
    settings: Settings, script: list[str], tiny_data: Path, tmp_path: Path
) -> None:
    run_training(settings())
    run = run_training(settings(predict_input_fp=str(tiny_data / "train.list_tfrecord")))
    assert script[4:] == ["checkpoint 10", "checkpoint 12"] and list(run.stopping.kept.best_of_steps()) == [10, 12]
