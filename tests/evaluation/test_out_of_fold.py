"""Out-of-fold scores: every row once, by the model that was trained without it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.commands import evaluate, split, train
from easytransfer_mtl.config.ensemble_settings import SplitSettings
from easytransfer_mtl.config.settings import EvaluateSettings, TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.members import find_members
from easytransfer_mtl.evaluation.out_of_fold import score_out_of_fold
from easytransfer_mtl.files import read_json
from easytransfer_mtl.tasks import CONTEST_TASKS


@pytest.fixture(scope="module")
def runs(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two folds' runs, fold_0 and fold_1, with another split in ``other``."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("split", 1), ("other", 2)):
        settings = SplitSettings(data_dir=str(tiny_data), output_dir=str(folder / name), folds=2, seed=seed)
        assert split.run(settings) == 0
    for name, fold, file in (("fold_0", 0, "split"), ("fold_1", 1, "split"), ("strange", 1, "other")):
        settings = TrainSettings(
            pretrain_model_name_or_path=str(tiny_encoder),
            random_init=True,
            model_dir=str(folder / name),
            train_input_fp=str(tiny_data / "train.list_tfrecord"),
            train_batch_size=4,
            num_epochs=1,
            learning_rate=0.05,
            folds_file=str(folder / file / "folds.json"),
            fold=fold,
        )
        assert train.run(settings) == 0
    return folder


def test_all_rows_are_scored_once_and_each_fold_as_in_its_run(runs: Path) -> None:
    scores = score_out_of_fold(find_members(f"{runs}/fold_*"), EvaluationOptions(batch_size=5))
    assert [(score.task, score.rows) for score in scores.together] == [(task, 12) for task in CONTEST_TASKS]
    for place, total in enumerate(scores.together):
        np.testing.assert_array_equal(total.confusion, sum(group[place].confusion for group in scores.models.values()))
    for name, group in scores.models.items():
        written = {item["task"]: item for item in read_json(Path(name) / "export.json")["scores"]}
        for score in group:
            assert written[score.task.name]["confusion_rows_are_truth"] == score.confusion.tolist()


def test_the_command_writes_the_table(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.run(EvaluateSettings(checkpoints=f"{runs}/fold_*", output_dir=str(tmp_path / "out"))) == 0
    text = (tmp_path / "out/models.txt").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert [line.split("  ")[0] for line in text.splitlines()[1:]] == [
        str(runs / "fold_0/best"),
        str(runs / "fold_1/best"),
        "all folds",
    ]


def test_a_missing_fold_is_told(runs: Path, caplog: pytest.LogCaptureFixture) -> None:
    scores = score_out_of_fold(find_members(str(runs / "fold_1")), EvaluationOptions())
    assert "no model of fold 0" in caplog.text
    assert [score.rows for score in scores.together] == [score.rows for score in scores.models[str(runs / "fold_1/best")]]


def test_refused_models(runs: Path, tiny_settings: Callable[..., Any], tmp_path: Path) -> None:
    moved = shutil.copytree(runs / "fold_1/best", tmp_path / "moved")
    checkpoint = sorted((runs / "fold_1").glob("model.ckpt-*.index"))[0].with_suffix("")
    for text, message in (
        (f"{runs}/fold_0,{runs}/strange", "not of different folds of one split"),
        (f"{runs}/fold_1,{checkpoint}", r"not of different folds of one split: .*\(fold 1\), .*\(fold 1\)"),
        (f"{runs}/fold_0,{moved}", "moved was not trained with --fold"),
    ):
        with pytest.raises(UserError, match=message):
            score_out_of_fold(find_members(text), EvaluationOptions())
