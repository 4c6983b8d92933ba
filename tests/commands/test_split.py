"""The split command on the sample: ids as they stand, groups whole, a table, and what it refuses."""

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_tasks import TASKS, write_mixed_tasks

from easytransfer_mtl.commands.split import run
from easytransfer_mtl.config.convert_settings import SplitSettings
from easytransfer_mtl.data.fold_assignment import text_key
from easytransfer_mtl.data.folds import Folds, read_folds
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.tasks import CONTEST_TASKS

SAMPLE = Path(__file__).parents[2] / "data/sample"


def split(output: Path, data_dir: Path = SAMPLE, **settings: Any) -> Folds:
    assert run(SplitSettings(data_dir=str(data_dir), output_dir=str(output), **settings)) == 0
    return read_folds(output / "folds.json")


def one_task(folder: Path, content: str) -> dict[str, Any]:
    """Writes a train file of TNEWS alone; returns the settings for it."""
    (folder / "TNEWS_train.csv").write_text(content, encoding="utf-8")
    tasks = '{"tasks": [{"name": "TNEWS", "columns": "idx,text,label", "first_sequence": "text", '
    tasks += '"label_enumerate_values": "115,114"}]}'
    (folder / "tasks.json").write_text(tasks, encoding="utf-8")
    return {"data_dir": folder, "tasks_file": str(folder / "tasks.json")}


@pytest.mark.parametrize("include_dev", [False, True])
def test_all_rows_with_their_ids_and_no_text_in_two_folds(tmp_path: Path, include_dev: bool) -> None:
    folds = split(tmp_path, folds=4, include_dev=include_dev)
    kinds = ("train", "dev") if include_dev else ("train",)
    for task in CONTEST_TASKS:
        paths = [SAMPLE / f"{task.name}_{kind}.csv" for kind in kinds]
        rows = [row for path in paths for row in read_table(path, task, labelled=True).rows]
        found = folds.tasks[task.name]
        assert found.ids == [row.row_id for row in rows]
        assert [(item.name, item.sha256) for item in found.sources] == [(path.name, sha256_of(path)) for path in paths]
        places = defaultdict(set)
        for row, fold in zip(rows, found.folds):
            places[text_key(row.texts[0])].add(fold)
        assert all(len(items) == 1 for items in places.values()) and len(places) < len(rows)
        sizes = np.bincount(found.folds, minlength=4)
        assert sizes.min() > 0 and np.ptp(sizes) <= 0.05 * len(rows)


def test_seed_and_number_decide(tmp_path: Path) -> None:
    first = split(tmp_path / "first", seed=1)
    assert split(tmp_path / "again", seed=1).sha256 == first.sha256
    assert split(tmp_path / "other", seed=2).sha256 != first.sha256
    with pytest.raises(UserError, match="holds other folds"):
        split(tmp_path / "first", seed=2)


def test_the_table_tells_sizes_shares_groups_and_the_largest_deviation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split(tmp_path / "out", folds=3)
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines() if line.startswith("rows")][1][:2] == ["rows", "480"]
    assert "groups of one premise" in printed and printed.count("groups of one text") == 2
    assert printed.count("largest deviation of a label's share: ") == 3
    assert printed.splitlines()[-1] == f"folds: {tmp_path / 'out/folds.json'}"


def test_a_label_that_a_fold_lacks_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = "".join(f"{row}\ttext {row}\t{115 if row else 114}\n" for row in range(9))
    split(tmp_path / "out", folds=3, **one_task(tmp_path, content))
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert "TNEWS: no row of 114 (1 rows in all) is in fold" in warning


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\ta\t115\n1\tA \t115\n2\tb\t114\n", "3 rows with 2 different first texts do not fill 3 folds"),
        ("", "TNEWS_train.csv is empty"),
        ("0\ta\t115\nx\n", "line 2: found 1 columns"),
        ("0\ta\t7\n", "unknown label '7'"),
    ],
)
def test_refused_files_write_nothing(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(tmp_path / "out", folds=3, **one_task(tmp_path, content))
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_left_out_where_they_may_be_skipped(tmp_path: Path) -> None:
    content = "0\ta\t115\nx\n5\tb\t114\n9\tc\t115\n"
    folds = split(tmp_path / "out", folds=2, on_bad_row="skip", **one_task(tmp_path, content))
    assert folds.tasks["TNEWS"].ids == ["0", "5", "9"] and folds.tasks["TNEWS"].sources[0].rows == 3


def test_too_many_bad_rows_are_not_left_out(tmp_path: Path) -> None:
    settings = one_task(tmp_path, "0\ta\t115\n5\tb\t114\n" + "x\n" * 8)
    with pytest.raises(UserError, match="8 bad rows, 2 good ones(?s:.*)--max_bad_share=0.05"):
        split(tmp_path / "out", folds=2, on_bad_row="skip", **settings)
    assert not (tmp_path / "out").exists()
    assert split(tmp_path / "out", folds=2, on_bad_row="skip", max_bad_share=0.8, **settings).tasks["TNEWS"].ids == [
        "0",
        "5",
    ]


def test_a_dev_file_that_is_the_train_file(tmp_path: Path) -> None:
    settings = one_task(tmp_path, "0\ta\t115\n1\tb\t114\n")
    shutil.copyfile(tmp_path / "TNEWS_train.csv", tmp_path / "TNEWS_dev.csv")
    with pytest.raises(UserError, match="the same file twice"):
        split(tmp_path / "out", folds=2, include_dev=True, **settings)


@pytest.mark.parametrize("settings", [{"folds": 1}, {"data_dir": "nowhere"}])
def test_refused_settings(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        split(tmp_path / "out", **settings)


def test_tasks_of_all_types_are_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = write_mixed_tasks(tmp_path / "data", rows=60)
    folds = split(tmp_path / "out", tmp_path / "data", folds=3, tasks_file=str(tasks))
    assert [len(folds.tasks[task["name"]].ids) for task in TASKS] == [60] * 5
    printed = capsys.readouterr().out
    assert [what in printed for what in ("a label's share", "a range's share", "a kind of entity's share")] == [True] * 3
