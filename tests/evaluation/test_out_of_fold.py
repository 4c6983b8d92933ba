"""Out-of-fold scores: every row once, by the model that was trained without it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.commands import evaluate
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.data.folds import read_folds
from easytransfer_mtl.data.tag_units import NO_TAG
from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.out_of_fold import _joined, score_out_of_fold
from easytransfer_mtl.evaluation.row_table import RowTexts, read_rows, task_rows
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.runs.task_data import read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS, Task


def test_every_row_is_scored_by_the_model_of_its_fold(runs: Path, tiny_data: Path, tiny_encoder: Path) -> None:
    members = find_models(f"{runs}/fold_*")
    scores = score_out_of_fold(members, EvaluationOptions(batch_size=5))
    folds = read_folds(runs / "split/folds.json")
    vocabulary = tiny_encoder / "vocab.txt"
    data = read_task_data(str(tiny_data / "train.list_tfrecord"), CONTEST_TASKS, load_vocabulary(vocabulary), vocabulary, 16)
    models = [Inference(member.load(), 5) for member in members]
    for place, item in enumerate(data):
        name = item.task.name
        confusion = np.zeros((item.task.num_labels, item.task.num_labels), int)
        predictions = [model.outputs(item.rows, [name], "test")[name].predictions for model in models]
        for row, (truth, fold) in enumerate(zip(item.rows.label_ids, folds.tasks[name].folds)):
            confusion[truth, predictions[fold][row]] += 1
        total = scores.together[place]
        assert (total.task, total.rows) == (item.task, 12)
        np.testing.assert_array_equal(total.confusion, confusion)
        np.testing.assert_array_equal(confusion, sum(group[place].confusion for group in scores.models.values()))


def test_the_command_writes_the_table(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.run(EvaluateSettings(checkpoints=f"{runs}/fold_*", output_dir=str(tmp_path / "out"))) == 0
    text = (tmp_path / "out/models.txt").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    whole = read_rows(tmp_path / "out")
    parts = [read_rows(tmp_path / f"out/model_{number}") for number in (1, 2, 3)]
    for place, task in enumerate(whole.tasks):
        assert task.about.ids == [str(number) for number in range(12)]
        probabilities = {
            row: value for part in parts for row, value in zip(part.tasks[place].about.ids, part.tasks[place].p_label)
        }
        assert [probabilities[row] for row in task.about.ids] == task.p_label.tolist()
    names = [str(runs / f"fold_{fold}/best") for fold in range(3)]
    assert [line.split("  ")[0] for line in text.splitlines()[1:]] == [*names, "all folds"]


def test_a_missing_fold_is_told(runs: Path, caplog: pytest.LogCaptureFixture) -> None:
    scores = score_out_of_fold(find_models(str(runs / "fold_1")), EvaluationOptions())
    assert "no model of fold 0, 2" in caplog.text
    assert [score.rows for score in scores.together] == [score.rows for score in scores.models[str(runs / "fold_1/best")]]


def test_refused_models(runs: Path, make_run: Callable[..., Path], tmp_path: Path) -> None:
    moved = shutil.copytree(runs / "fold_1/best", tmp_path / "moved")
    plain = make_run(tmp_path / "plain", 8)
    for text, message in (
        (f"{runs}/fold_0,{runs}/strange_1", "not of different folds of one split"),
        (f"{runs}/fold_1,{runs}/fold_1/model.ckpt-3", r"not of different folds of one split: .*\(fold 1\), .*\(fold 1\)"),
        (f"{runs}/fold_0,{moved}", "moved was not trained with --fold"),
        (str(plain), "needs --predict_input_fp: .*plain/best was not trained with --fold"),
    ):
        with pytest.raises(UserError, match=message):
            score_out_of_fold(find_models(text), EvaluationOptions())


def test_folds_of_other_lengths_of_tags_are_joined() -> None:
    task = Task("T", (), "text", ("O", "B-X"), type="tags")
    parts = []
    for row, width in (("1", 2), ("0", 4)):
        about = RowTexts([row], [("text",)], False, "file", None)
        truth = np.full((1, width), NO_TAG, np.int32)
        truth[0, :2] = 1
        parts.append(task_rows(task, about, truth, truth, np.full((1, width, 2), 0.5, np.float32)))
    found = _joined(parts)
    assert found.about.ids == ["0", "1"] and found.probabilities is not None and found.probabilities.shape == (2, 4, 2)
    for tags in (found.truth, found.predicted):
        assert tags.tolist() == [[1, 1, NO_TAG, NO_TAG]] * 2
