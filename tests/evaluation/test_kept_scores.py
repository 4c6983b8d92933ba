"""Scores that are kept come back as they were found."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.data.encoded_rows import from_arrays, from_features
from easytransfer_mtl.data.features import Features
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.kept_outputs import FILE as OUTPUTS
from easytransfer_mtl.evaluation.kept_scores import KeptScores
from easytransfer_mtl.evaluation.metrics import TaskScore, score_confusion, score_task
from easytransfer_mtl.evaluation.reports import score_json
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, Task


def data_of(first_id: int = 1) -> list[Any]:
    ids = np.full((4, 3), first_id, np.int32)
    rows = from_arrays(ids, np.full(4, 3), ids, np.arange(4))
    return [SimpleNamespace(task=task, rows=rows) for task in CONTEST_TASKS]


def scores_of(seed: int) -> list[TaskScore]:
    random = np.random.default_rng(seed)
    return [score_task(task, *random.integers(0, task.num_labels, (2, 4))) for task in CONTEST_TASKS]


def outputs_of(seed: int) -> dict[str, HeadOutput]:
    """Outputs of the four rows, in the shapes that a model gives."""
    random = np.random.default_rng(seed)
    probabilities = {task.name: random.random((4, task.num_labels), np.float32) for task in CONTEST_TASKS}
    return {name: HeadOutput(part.argmax(axis=1).astype(np.int32), part) for name, part in probabilities.items()}


def test_a_confusion_matrix_holds_the_whole_score() -> None:
    truth, predicted = np.array([0, 0, 3, 3, 6, 6, 6]), np.array([0, 3, 3, 3, 0, 6, 6])
    score = score_task(OCEMOTION, truth, predicted)
    assert score_json(score_confusion(OCEMOTION, score.confusion)) == score_json(score)


def test_scores_up_to_a_step_come_back_in_order(tmp_path: Path) -> None:
    kept = KeptScores(tmp_path, data_of(), "float32", 0)
    second, averages, fourth = (
        Weights.of_step(tmp_path, step, is_ema) for step, is_ema in ((2, False), (2, True), (4, False))
    )
    added = {second: 1, averages: 2, fourth: 3}
    for candidate, seed in added.items():
        kept.add(candidate, scores_of(seed), outputs_of(seed))
    again = KeptScores(tmp_path, data_of(), "float32", 2)
    assert list(again.scores) == [second, averages]
    for candidate, scores in again.scores.items():
        assert [score_json(score) for score in scores] == [score_json(score) for score in scores_of(added[candidate])]
    means = [np.mean([score.score for score in scores_of(seed)]) for seed in (1, 2)]
    assert again.best_of_steps() == {2: pytest.approx(max(means))}


@pytest.mark.parametrize(("first_id", "precision"), [(2, "float32"), (1, "bfloat16")])
def test_scores_of_other_rows_or_arithmetic_do_not_count(first_id: int, precision: str, tmp_path: Path) -> None:
    KeptScores(tmp_path, data_of(), "float32", 0).add(Weights.of_step(tmp_path, 2), scores_of(1), outputs_of(1))
    assert not KeptScores(tmp_path, data_of(first_id), precision, 9).scores


@pytest.mark.parametrize(
    "change",
    [
        {"step": "2"}, {"step": True}, {"step": 2.0}, {"ema": 1}, {"confusion_rows_are_truth": {}},
        *({"OCNLI": matrix} for matrix in (
            [[4]], 4, [[4, 0, 0], [0, 0, 0]], [[4, 0], [0], [0]], [[4.0, 0, 0], [0, 0, 0], [0, 0, 0]],
            [["4", 0, 0], [0, 0, 0], [0, 0, 0]], [[5, -1, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0]] * 3,
            [[5, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[10**30, 0, 0], [0, 0, 0], [0, 0, 0]], [[2**63, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[True, True, True], [True, False, False], [False, False, False]],
        )),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    KeptScores(tmp_path, data_of(), "float32", 0).add(Weights.of_step(tmp_path, 2), scores_of(1), outputs_of(1))
    path = tmp_path / "evaluation/during_training.json"
    value = read_json(path)
    item = value["scores"][0]
    (item["confusion_rows_are_truth"] if "OCNLI" in change else item).update(change)
    write_json(path, value)
    with pytest.raises(UserError, match="during_training.json is damaged .*delete it"):
        KeptScores(tmp_path, data_of(), "float32", 2)


def test_outputs_of_the_best_weights_come_back_and_no_others(tmp_path: Path) -> None:
    kept = KeptScores(tmp_path, data_of(), "float32", 0)
    each = [Weights.of_step(tmp_path, step) for step in (2, 4, 6)]
    means = {weights: np.mean([score.score for score in scores_of(seed)]) for seed, weights in enumerate(each)}
    for seed, weights in enumerate(each):
        kept.add(weights, scores_of(seed), outputs_of(seed))
    best = max(means, key=lambda weights: means[weights])
    again = KeptScores(tmp_path, data_of(), "float32", 6)
    for seed, weights in enumerate(each):
        found = again.outputs(weights)
        assert (found is None) == (weights != best)
        for name, output in (found or {}).items():
            np.testing.assert_array_equal(output.probabilities, outputs_of(seed)[name].probabilities)
            np.testing.assert_array_equal(output.predictions, outputs_of(seed)[name].predictions)
    assert KeptScores(tmp_path, data_of(2), "float32", 6).outputs(best) is None


@pytest.mark.parametrize("damage", ["cut", "labels", "size"])
def test_damaged_outputs_are_not_used(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, weights, outputs = KeptScores(tmp_path, data_of(), "float32", 0), Weights.of_step(tmp_path, 2), outputs_of(1)
    if damage == "labels":
        outputs["OCNLI"] = outputs["OCNLI"]._replace(predictions=np.full(4, 3, np.int32))
    kept.add(weights, scores_of(1), outputs)
    path = tmp_path / OUTPUTS
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    if damage == "size":
        path.write_bytes(path.read_bytes() + bytes(2 << 20))
    assert kept.outputs(weights) is None
    assert ("is damaged" in caplog.text) == (damage != "size")


SEVERAL = Task(
    "SEVERAL", ("idx", "a", "label"), "a", ("x", "y"), type="multi_label", metric="auc", more_metrics=("macro_f1",)
)
NUMBER = Task("NUMBER", ("idx", "a", "label"), "a", (), type="score", range=(0.0, 5.0))
AREA = Task("AREA", ("idx", "a", "label"), "a", ("x", "y", "z"), metric="auc")


def test_scores_of_every_type_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    rows = from_features([Features([2, 7, 3], 3)] * 6, range(6))
    data: Any = [SimpleNamespace(task=task, rows=rows) for task in (SEVERAL, NUMBER, AREA)]
    truths = [random.integers(0, 2, (6, 2)), random.random(6).astype(np.float32), random.integers(0, 3, 6)]
    outputs = {item.task.name: HeadOutput.of(item.task, random.random((6, item.task.num_labels))) for item in data}
    scores = [
        score_task(replace(task, threshold=0.3) if task is SEVERAL else task, truth, *_parts(outputs[task.name]))
        for task, truth in zip((SEVERAL, NUMBER, AREA), truths, strict=True)
    ]
    weights = Weights.of_step(tmp_path, 2)
    KeptScores(tmp_path, data, "float32", 0).add(weights, scores, outputs)
    again = KeptScores(tmp_path, data, "float32", 2)
    assert [score_json(score) for score in again.scores[weights]] == [score_json(score) for score in scores]
    assert again.scores[weights][0].task.threshold == 0.3
    found = again.outputs(weights)
    assert found is not None
    for name, output in outputs.items():
        for one, other in zip(found[name], output, strict=True):
            np.testing.assert_array_equal(one, other)
    path = tmp_path / "evaluation/during_training.json"
    whole = path.read_text(encoding="utf-8")
    for before, after in (('"chance"', '"change"'), ('"auc"', '"acu"'), ('"support": [', '"support": [1, ')):
        path.write_text(whole.replace(before, after), encoding="utf-8")
        with pytest.raises(UserError, match="is damaged"):
            KeptScores(tmp_path, data, "float32", 2)


def _parts(output: HeadOutput) -> tuple[Any, str, Any]:
    return output.predictions, "present", output.probabilities
