"""The fold file: what was written comes back, other folds are not overwritten, and damage is named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.data.folds import Folds, FoldSource, TaskFolds, read_folds, write_folds
from easytransfer_mtl.errors import UserError


@pytest.fixture
def folds() -> Folds:
    """Two tasks; one of two files, with ids that CSV has to quote."""
    first = TaskFolds((FoldSource("A_train.csv", "aa", 2),), ["0", "1"], np.array([1, 0]))
    sources = (FoldSource("B_train.csv", "bb", 3), FoldSource("B_dev.csv", "cc", 1))
    return Folds(2, 7, {"A": first, "B": TaskFolds(sources, ["x,1", 'y"2', " 3", "1500"], np.array([0, 1, 1, 0]))})


def test_what_was_written_comes_back(folds: Folds, tmp_path: Path) -> None:
    found = read_folds(write_folds(tmp_path / "out", folds))
    assert (found.num_folds, found.seed, list(found.tasks)) == (2, 7, ["A", "B"])
    for name, task in folds.tasks.items():
        assert found.tasks[name].sources == task.sources and found.tasks[name].ids == task.ids
        np.testing.assert_array_equal(found.tasks[name].folds, task.folds)
    assert found.sha256 == folds.sha256
    assert (tmp_path / "out/A_folds.csv").read_bytes() == b"id,fold\n0,1\n1,0\n"


def test_the_rows_of_one_source(folds: Folds) -> None:
    source, found = folds.tasks["B"].of_source("cc") or (None, None)
    assert source == FoldSource("B_dev.csv", "cc", 1) and found.tolist() == [0]
    assert folds.tasks["B"].of_source("aa") is None


def test_the_same_folds_are_left_alone_and_others_refused(folds: Folds, tmp_path: Path) -> None:
    path = write_folds(tmp_path, folds)
    before = path.stat().st_mtime_ns
    assert write_folds(tmp_path, folds) == path and path.stat().st_mtime_ns == before
    changed = replace(folds.tasks["A"], folds=np.array([0, 1]))
    others = [replace(folds, seed=8), replace(folds, num_folds=3), replace(folds, tasks={**folds.tasks, "A": changed})]
    assert len({item.sha256 for item in (folds, *others)}) == 4
    for other in others:
        with pytest.raises(UserError, match="holds other folds"):
            write_folds(tmp_path, other)
    assert read_folds(path).sha256 == folds.sha256


def rewritten(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "folds.json does not exist"),
        (lambda path: path.write_text("[]", encoding="utf-8"), "folds.json is damaged"),
        (lambda path: rewritten(path, format_version=2), "unknown format_version"),
        (lambda path: rewritten(path, num_folds="2"), "damaged"),
        (lambda path: rewritten(path, tasks={"A": {}}), "damaged .*sources"),
        (lambda path: rewritten(path, num_folds=1), "num_folds 1 is no whole number from 2"),
        (lambda path: rewritten(path, num_folds=10**12), "num_folds 1000000000000 is no whole number"),
        (lambda path: rewritten(path, num_folds=None), "num_folds None is no whole number"),
        (lambda path: rewritten(path, seed="1"), "seed '1' is no whole number"),
        (lambda path: rewritten(path, seed=float("nan")), "numbers must be finite"),
        (lambda path: rewritten(path, tasks=5), "damaged"),
        (lambda path: rewritten(path, tasks={"../A": {"sources": []}}), "damaged .*Invalid name"),
        (
            lambda path: rewritten(path, tasks={"A": {"sources": [{"name": 1, "sha256": "", "rows": 2}]}}),
            "damaged .*sources",
        ),
        (lambda path: rewritten(path, tasks={"A": {"sources": [{"name": "", "sha256": "", "rows": 2.0}]}}), "damaged"),
        (lambda path: rewritten(path, tasks={"A": {"sources": [{"name": "", "rows": 2}]}}), "damaged"),
        (lambda path: path.with_name("A_folds.csv").write_text(f"id,fold\n0,{10**30}\n1,1\n", "utf-8"), "cannot be read"),
        (lambda path: path.with_name("A_folds.csv").write_text("x" * 9000 + "\n", "utf-8"), "should have the columns"),
        (lambda path: path.with_name("A_folds.csv").unlink(), "A_folds.csv cannot be read"),
        (lambda path: path.with_name("A_folds.csv").write_text("", encoding="utf-8"), "A_folds.csv cannot be read"),
        (lambda path: path.with_name("A_folds.csv").write_text("id,fold\n0,1\n", encoding="utf-8"), "and 1 rows"),
        (lambda path: path.with_name("A_folds.csv").write_text("id,fold\n0,1\n1\n", encoding="utf-8"), "cannot be read"),
        (lambda path: path.with_name("A_folds.csv").write_text("id,fold\n0,x\n1,1\n", encoding="utf-8"), "cannot be read"),
        (lambda path: path.with_name("A_folds.csv").write_text("id,fold\n0,2\n1,1\n", encoding="utf-8"), "0 to 1"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], None], message: str, folds: Folds, tmp_path: Path) -> None:
    path = write_folds(tmp_path, folds)
    damage(path)
    with pytest.raises(UserError, match=message) as caught:
        read_folds(path)
    assert len(str(caught.value)) < 600 + len(str(path))


def test_folds_written_by_hand_are_read(folds: Folds, tmp_path: Path) -> None:
    path = write_folds(tmp_path, folds)
    (tmp_path / "A_folds.csv").write_text("id,fold\n0,0\n1,0\n", encoding="utf-8")
    assert read_folds(path).tasks["A"].folds.tolist() == [0, 0]
