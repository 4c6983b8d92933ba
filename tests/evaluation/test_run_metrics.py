"""A run's curves, as read from metrics.csv and from the scores of its checkpoints."""

from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.run_metrics import STEP, Series, has_news, read_dev_scores, read_metrics
from easytransfer_mtl.files import write_json, write_text

HEADER = "step,task,loss,weight,learning_rate,grad_norm,examples_per_second,grad_share,cos_A,cos_B\n"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.csv").write_text(HEADER + text, encoding="utf-8")
    return folder / "metrics.csv"


def test_metrics_become_four_panels_and_each_pair_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "1,A,2.5,1,0.1,3,9,0.25,1,-0.5\n1,B,1.5,2,0.1,3,9,0.75,-0.5,1\n2,A,2.0,1,0.1,3,9,,,\n")
    panels = read_metrics(path)
    assert panels["loss"]["A"] == Series([1, 2], [2.5, 2.0]) and panels["weight"]["B"] == Series([1], [2.0])
    assert panels["grad_share"]["A"] == Series([1], [0.25])
    assert panels["cosine"] == {"A and B": Series([1], [-0.5])}


@pytest.mark.parametrize("text", [None, ""])
def test_no_run_or_no_step_is_told(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv" if text is None else write(tmp_path, text)
    with pytest.raises(UserError, match="does not exist" if text is None else "holds no step yet"):
        read_metrics(path)


def test_a_line_that_is_cut_off_and_a_run_without_gradients_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,task,loss,weight\n1,A,2.5,1\n2,A,1.2e-", encoding="utf-8")
    panels = read_metrics(path)
    assert panels["loss"] == {"A": Series([1], [2.5])} and panels["grad_share"] == panels["cosine"] == {}


def test_smoothing_is_means_of_windows() -> None:
    steps, values = Series(list(range(1, 8)), [1.0, 3, 2, 4, 5, 7, 9]).smoothed(3)
    np.testing.assert_allclose(steps, [2, 5, 7])
    np.testing.assert_allclose(values, [2, 16 / 3, 9])
    assert len(Series([1, 2, 3], [1.0, 2, 3]).smoothed(1)[0]) == 3


def test_a_step_has_one_learning_rate_and_one_speed(tmp_path: Path) -> None:
    path = write(tmp_path, "1,A,2.5,1,0.1,3,9,,,\n1,B,1.5,2,0.1,3,9,,,\n2,A,2.0,1,0.2,3,8,,,\n")
    panels = read_metrics(path)
    assert panels["learning_rate"] == {STEP: Series([1, 2], [0.1, 0.2])}
    assert panels["rows_per_second"] == {STEP: Series([1, 2], [9.0, 8.0])}
    assert has_news("learning_rate", panels["learning_rate"]) and not has_news("weight", panels["weight"])
    once = {"A": Series([1], [0.5])}
    assert has_news("cosine", once) and has_news("score", once) and not has_news("cosine", {})


def test_scores_by_step_with_averages_apart(tmp_path: Path) -> None:
    assert read_dev_scores(tmp_path) == {}
    kinds = ((0, "raw", 0.1), (4, "raw", 0.5), (4, "ema", 0.6), (4, "swa", 0.7))
    rows = [{"step": step, "weights": kind, "scores": {"A": score}, "mean": score} for step, kind, score in kinds]
    write_json(tmp_path / "evaluation/summary.json", {"checkpoints": rows})
    raw, averages = Series([0, 4], [0.1, 0.5]), Series([4], [0.6])
    assert read_dev_scores(tmp_path) == {"A": raw, "mean": raw, "A, ema": averages, "mean, ema": averages}


@pytest.mark.parametrize("content", ["[]", '{"checkpoints": [{"step": 1}]}', '{"checkpoints": 5}'])
def test_damaged_scores_are_named(content: str, tmp_path: Path) -> None:
    write_text(tmp_path / "evaluation/summary.json", content)
    with pytest.raises(UserError, match="summary.json is damaged; run evaluate again"):
        read_dev_scores(tmp_path)
