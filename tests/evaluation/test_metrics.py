"""Scores against hand-computed cases and against what the original printed."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.legacy import legacy_score, round_robin
from easytransfer_mtl.evaluation.metrics import (
    LabelScore,
    best_of,
    best_threshold,
    chance_score,
    mean_score,
    score_task,
)
from easytransfer_mtl.tasks import CONTEST_TASKS, OCEMOTION, OCNLI, TNEWS, Task, task_named

EVAL = Path(__file__).parents[1] / "golden" / "eval"
RUNS = ("normal", "bs1", "nodrop_noshuffle_adam")
TWO = Task(name="two", columns=("idx", "text", "label"), first_sequence="text", label_enumerate_values=("no", "yes"))


def golden(run: str) -> dict[str, Any]:
    return json.loads((EVAL / f"{run}.json").read_text(encoding="utf-8"))


def checkpoints(run: dict[str, Any]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for i, name in enumerate(run["checkpoints"]):
        yield int(name.rpartition("-")[2]), run["reports"][3 * i : 3 * i + 3]


def test_hand_computed_scores() -> None:
    score = score_task(OCNLI, np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2]))
    assert score.rows == 6
    np.testing.assert_allclose(score.precision, [1, 1 / 2, 1 / 2])
    np.testing.assert_allclose(score.recall, [2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(score.f1, [4 / 5, 1 / 2, 2 / 3])
    assert score.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3, abs=1e-15)
    assert score.accuracy == pytest.approx(4 / 6)
    assert score.support.tolist() == [3, 2, 1]
    assert score.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_present_leaves_out_labels_found_nowhere_and_all_counts_them_as_zero() -> None:
    truth, predicted = np.array([0, 0, 1]), np.array([0, 0, 1])
    present, every = score_task(OCNLI, truth, predicted), score_task(OCNLI, truth, predicted, labels="all")
    assert (present.macro_f1, every.macro_f1) == (1.0, pytest.approx(2 / 3))
    assert present.counted.tolist() == [True, True, False]
    assert every.counted.all()


def test_present_counts_a_label_that_is_only_predicted() -> None:
    score = score_task(OCNLI, np.array([0, 0]), np.array([0, 2]))
    assert score.counted.tolist() == [True, False, True]
    assert score.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_one_row_is_scored() -> None:
    assert score_task(TNEWS, np.array([14]), np.array([14])).macro_f1 == 1.0
    assert score_task(TNEWS, np.array([14]), np.array([3])).macro_f1 == 0.0


def test_a_task_scored_by_accuracy() -> None:
    task = dataclasses.replace(TWO, metric="accuracy")
    score = score_task(task, np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    assert (score.score, score.chance) == (0.75, 0.5)
    assert score.macro_f1 == pytest.approx((6 / 7 + 0) / 2)


@pytest.mark.parametrize(
    ("truth", "predicted", "labels", "message"),
    [
        ([0, 1], [0], "present", "same N"),
        ([], [], "present", "at least 1"),
        ([[0]], [[0]], "present", r"\[1, 1\]"),
        ([0, 3], [0, 1], "present", "true label id 3 at row 1"),
        ([0, 1], [-1, 1], "present", "predicted label id -1 at row 0"),
        ([0, 1], [0.0, 1.0], "present", "must be integers"),
        ([0], [0], "some", "present or all"),
    ],
)
def test_refused_input(truth: list[Any], predicted: list[Any], labels: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_task(OCNLI, np.array(truth), np.array(predicted), labels)


def test_chance_by_hand_and_by_simulation() -> None:
    # Shares 3/4 and 1/4: F1 = 2 (3/8) / (5/4) = 3/5 and 2 (1/8) / (3/4) = 1/3.
    assert chance_score(TWO, np.array([3, 1]), 4) == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert chance_score(OCNLI, np.array([5, 5, 5]), 15) == pytest.approx(1 / 3)
    random = np.random.default_rng(0)
    truth = random.choice(7, size=50_000, p=[0.115, 0.252, 0.353, 0.115, 0.123, 0.017, 0.025])
    score = score_task(OCEMOTION, truth, random.integers(0, 7, size=50_000))
    assert score.macro_f1 == pytest.approx(score.chance, abs=0.005)


def test_mean_and_best() -> None:
    scores = [score_task(OCNLI, np.array([0, 1]), np.array(guess)) for guess in ([0, 1], [1, 0])]
    assert mean_score(scores) == 0.5
    assert best_of({0: 0.5, 136: 0.6, 90: 0.6, 135: 0.1}) == 136
    with pytest.raises(UserError, match="at least one"):
        mean_score([])
    with pytest.raises(UserError, match="at least one"):
        best_of({})


@pytest.mark.parametrize("run", RUNS)
def test_golden_reports(run: str) -> None:
    for report in golden(run)["reports"]:
        task = task_named(report["called_as"], CONTEST_TASKS)
        score = score_task(task, np.array(report["gts"]), np.array(report["preds"]))
        assert score.macro_f1 == pytest.approx(report["macro_f1_read"], abs=5e-5)
        lines = [line.split() for line in report["report"].splitlines()]
        classes = {int(line[0]): line[1:] for line in lines if line and line[0].isdigit()}
        assert sorted(classes) == np.flatnonzero(score.counted).tolist()
        for label, (*values, support) in classes.items():
            exact = [score.precision[label], score.recall[label], score.f1[label]]
            np.testing.assert_allclose(exact, [float(value) for value in values], atol=5.1e-5)
            assert score.support[label] == int(support)
        printed_accuracy = next(float(line[1]) for line in lines if line and line[0] == "accuracy")
        assert score.accuracy == pytest.approx(printed_accuracy, abs=5.1e-5)


@pytest.mark.parametrize("run", RUNS)
def test_golden_best_checkpoint(run: str) -> None:
    data = golden(run)
    legacy, exact = {}, {}
    for step, reports in checkpoints(data):
        truths = {report["called_as"]: np.array(report["gts"]) for report in reports}
        own = {report["called_as"]: np.array(report["preds"]) for report in reports}
        predictions = {name: {name: ids} for name, ids in own.items()}
        score = legacy_score(CONTEST_TASKS, truths, predictions, data["config"]["predict_config"]["predict_batch_size"])
        assert list(score.macro_f1.values()) == [report["macro_f1_read"] for report in reports]
        assert score.misplaced == 0
        legacy[step] = score.mean
        exact[step] = mean_score([score_task(task, truths[task.name], own[task.name]) for task in CONTEST_TASKS])
        assert exact[step] == pytest.approx(score.mean, abs=5e-5)
    best = best_of(legacy)
    assert data["final_log"] == [f"best ckpt {best}, best best_macro_f1 {legacy[best]}"]
    assert best_of(exact) == best


def test_legacy_reads_misplaced_batches_with_another_head() -> None:
    # 3, 1 and 2 batches of 2 rows: T E N T N T are taken for T E N T E N.
    truths = {"TNEWS": np.arange(6), "OCEMOTION": np.array([1, 2]), "OCNLI": np.array([0, 1, 2, 0])}
    heads = ("TNEWS", "OCEMOTION", "OCNLI")
    predictions = {name: {head: np.full(len(ids), 7) for head in heads} for name, ids in truths.items()}
    predictions["TNEWS"]["TNEWS"] = np.array([0, 1, 2, 0, 7, 7])
    predictions["TNEWS"]["OCNLI"] = np.array([7, 7, 7, 7, 2, 1])
    predictions["OCEMOTION"]["OCEMOTION"] = np.array([1, 2])
    predictions["OCNLI"]["OCEMOTION"] = np.array([7, 7, 2, 3])
    predictions["OCNLI"]["OCNLI"] = np.array([0, 1, 7, 7])
    score = legacy_score(CONTEST_TASKS, truths, predictions, batch_size=2)
    assert score.misplaced == 4
    assert score.macro_f1 == {
        "TNEWS": round((2 / 3 + 1 + 1 + 0) / 4, 4),  # truth 0 1 2 3, read 0 1 2 0
        "OCEMOTION": 0.5,  # truth 1 2 2 0, read 1 2 2 3: F1 1, 1, 0, 0
        "OCNLI": round((1 + 2 / 3 + 0 + 0 + 0) / 5, 4),  # truth 0 1 4 5, read 0 1 2 1
    }
    assert score.mean == sum(score.macro_f1.values()) / 3


def test_legacy_refuses_the_one_row_batch_the_original_fails_on() -> None:
    assert golden("uneven_lastbatch1")["error"].startswith("TypeError")
    truths = {"TNEWS": np.zeros(24, int), "OCEMOTION": np.zeros(13, int), "OCNLI": np.zeros(6, int)}
    predictions = {name: dict.fromkeys(truths, ids) for name, ids in truths.items()}
    with pytest.raises(UserError, match="OCEMOTION: with predict_batch_size 4 its 13 rows leave a batch of one row"):
        legacy_score(CONTEST_TASKS, truths, predictions, batch_size=4)
    with pytest.raises(UserError, match="one row"):
        legacy_score(CONTEST_TASKS, truths, predictions, batch_size=1)


def test_legacy_needs_a_batch_for_every_task() -> None:
    truths = {"TNEWS": np.zeros(2, int), "OCEMOTION": np.zeros(2, int), "OCNLI": np.zeros(0, int)}
    predictions = {name: dict.fromkeys(truths, ids) for name, ids in truths.items()}
    with pytest.raises(UserError, match="OCNLI: no batch"):
        legacy_score(CONTEST_TASKS, truths, predictions, batch_size=4)


def turns(counts: list[int], batch_size: int) -> str:
    return "".join("TEN"[task] for task, _, _ in round_robin(counts, batch_size))


def test_round_robin_passes_over_a_task_that_has_run_out() -> None:
    assert turns([12, 4, 8], 4) == "TENTNT"  # as the original did with these counts
    assert turns([0, 4, 0], 4) == "E"
    assert turns([0, 0, 0], 4) == ""


def test_round_robin_covers_every_row_in_order() -> None:
    pieces: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for task, start, end in round_robin([10, 3, 8], 4):
        assert 0 < end - start <= 4
        pieces[task] += range(start, end)
    assert pieces == {0: list(range(10)), 1: list(range(3)), 2: list(range(8))}


def of_type(kind: str, labels: tuple[str, ...] = (), **more: Any) -> Task:
    return Task("x", ("idx", "a", "label"), "a", label_enumerate_values=labels, type=kind, **more)


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_of_one_label_is_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    task = of_type("classify", ("a", "b", "c"), metric="auc", more_metrics=("matthews", "micro_f1", "weighted_f1"))
    truth, probabilities = random.integers(0, 3, 60), random.dirichlet([1, 1, 1], 60)
    predicted = probabilities.argmax(axis=1)
    score = score_task(task, truth, predicted, probabilities=probabilities)
    assert score.values == pytest.approx(
        {
            "auc": roc_auc_score(truth, probabilities, multi_class="ovr", average="macro"),
            "matthews": matthews_corrcoef(truth, predicted),
            "micro_f1": f1_score(truth, predicted, average="micro"),
            "weighted_f1": f1_score(truth, predicted, average="weighted"),
            "macro_f1": f1_score(truth, predicted, average="macro"),
            "accuracy": accuracy_score(truth, predicted),
        },
        abs=1e-12,
    )
    assert score.score == score.values["auc"] and score.chance == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_of_several_labels_is_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    task = of_type("multi_label", ("a", "b", "c", "d"), metric="micro_f1", more_metrics=("auc", "weighted_f1"))
    truth, probabilities = (random.random((80, 4)) < [0.1, 0.3, 0.5, 0.9]).astype(int), random.random((80, 4))
    predicted = (probabilities >= 0.4).astype(int)
    score = score_task(task, truth, predicted, probabilities=probabilities)
    assert isinstance(score, LabelScore) and score.support.tolist() == truth.sum(axis=0).tolist()
    assert score.values == pytest.approx(
        {
            "micro_f1": f1_score(truth, predicted, average="micro"),
            "auc": roc_auc_score(truth, probabilities, average="macro"),
            "weighted_f1": f1_score(truth, predicted, average="weighted"),
            "macro_f1": f1_score(truth, predicted, average="macro"),
            "accuracy": accuracy_score(truth, predicted),
        },
        abs=1e-12,
    )


def test_every_metric_of_numbers_is_the_librarys() -> None:
    random = np.random.default_rng(3)
    task = of_type("score", metric="spearman", more_metrics=("pearson", "mean_absolute_error"))
    truth = random.random(50).astype(np.float32)
    predicted = (truth + random.normal(0, 0.3, 50)).astype(np.float32)
    one, other = truth.astype(float), predicted.astype(float)
    assert score_task(task, truth, predicted).values == pytest.approx(
        {
            "spearman": spearmanr(one, other).statistic,
            "pearson": pearsonr(one, other).statistic,
            "mean_absolute_error": np.abs(one - other).mean(),
        },
        abs=1e-12,
    )


def test_scores_where_nothing_can_be_told_apart() -> None:
    number = of_type("score", metric="pearson", more_metrics=("spearman",))
    same = np.ones(4, np.float32)
    assert score_task(number, same, np.arange(4, dtype=np.float32)).values == {"pearson": 0.0, "spearman": 0.0}
    assert score_task(number, same[:1], same[:1]).score == 0.0
    several = of_type("multi_label", ("a", "b"), metric="auc")
    truth = np.array([[1, 0], [1, 0]])
    assert score_task(several, truth, truth, probabilities=np.array([[0.9, 0.1], [0.8, 0.2]])).score == 0.5
    no_label = score_task(of_type("multi_label", ("a", "b")), np.zeros((3, 2), int), np.zeros((3, 2), int))
    assert no_label.score == 0.0 and no_label.values["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("task", "shape"),
    [(of_type("multi_label", ("a", "b")), (4,)), (of_type("multi_label", ("a", "b")), (4, 3)), (of_type("score"), (4, 1))],
)
def test_predictions_in_the_form_of_another_type(task: Task, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="x: truth has shape"):
        score_task(task, np.zeros(shape, int), np.zeros(shape, int))


def test_the_best_threshold_is_found_and_near_a_half_among_equals() -> None:
    task = of_type("multi_label", ("a",), metric="auc", more_metrics=("macro_f1",))
    truth, probabilities = np.array([[1], [1], [0], [0]]), np.array([[0.32], [0.9], [0.2], [0.1]])
    assert best_threshold(task, truth, probabilities) == 0.32
    assert best_threshold(task, truth, np.array([[0.8], [0.9], [0.2], [0.1]])) == 0.5
    assert best_threshold(of_type("multi_label", ("a",), metric="auc", threshold=0.7), truth, probabilities) == 0.7


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "weighted_f1", "accuracy"])
@pytest.mark.parametrize("kind", ["classify", "multi_label"])
def test_chance_is_what_guessing_scores(kind: str, metric: str) -> None:
    random, rows = np.random.default_rng(0), 40_000
    task = of_type(kind, ("a", "b", "c"), metric=metric)
    if kind == "classify":
        truth, guess = random.choice(3, rows, p=[0.6, 0.3, 0.1]), random.integers(0, 3, rows)
    else:
        truth, guess = (random.random((rows, 3)) < [0.6, 0.3, 0.1]).astype(int), random.integers(0, 2, (rows, 3))
    score = score_task(task, truth, guess)
    assert score.score == pytest.approx(score.chance, abs=0.01)
